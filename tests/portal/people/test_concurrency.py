"""Two people act at the same moment, on a real PostgreSQL, in two connections."""

from collections.abc import Callable
from threading import Barrier, Thread

import pytest
from django.db import connection

from portal.people import services
from portal.people.errors import LastManager, PeopleError, SlugTaken, UnixAccountTaken
from portal.people.models import Membership, Project, ProjectMembership, User
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*actions: Callable[[], object]) -> list[type[PeopleError] | None]:
    """Runs the actions together and returns what each was refused with."""
    start = Barrier(len(actions))
    outcomes: list[type[PeopleError] | None] = [None] * len(actions)

    def run(place: int, action: Callable[[], object]) -> None:
        try:
            start.wait(10)
            action()
        except PeopleError as error:
            outcomes[place] = type(error)
        finally:
            connection.close()

    threads = [Thread(target=run, args=(place, action)) for place, action in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return outcomes


def test_two_managers_who_remove_each_other_leave_one() -> None:
    organisation = factories.organisation("Công ty Sao Mai AI", "sao-mai")
    managers = [factories.person(f"{name}@sao-mai.example", name) for name in ("lan", "hoa")]
    for manager in managers:
        factories.member(manager, organisation, Membership.Role.MANAGER)
    outcomes = at_once(
        *(
            lambda user=manager: services.membership_remove(
                organisation=organisation, user=user, role=Membership.Role.MANAGER
            )
            for manager in managers
        )
    )
    assert sorted(outcomes, key=str) == sorted([None, LastManager], key=str)
    assert organisation.memberships.filter(role=Membership.Role.MANAGER).count() == 1


def test_one_unix_account_goes_to_one_of_two() -> None:
    users = [factories.person(f"{name}@sao-mai.example", name) for name in ("lan", "hoa")]
    outcomes = at_once(*(lambda user=user: services.unix_account_set(user=user, name="minh") for user in users))
    assert sorted(outcomes, key=str) == sorted([None, UnixAccountTaken], key=str)
    assert User.objects.filter(unix_account="minh").count() == 1


def test_one_slug_goes_to_one_of_an_organisation_and_a_project() -> None:
    organisation = factories.organisation("Công ty Sao Mai AI", "sao-mai")
    outcomes = at_once(
        lambda: factories.organisation("Trợ lý", "tro-ly"),
        lambda: factories.project("Trợ lý", "tro-ly", of=organisation),
    )
    assert sorted(outcomes, key=str) == sorted([None, SlugTaken], key=str)


def test_nobody_joins_a_project_of_an_organisation_while_leaving_it() -> None:
    organisation = factories.organisation("Công ty Sao Mai AI", "sao-mai")
    project: Project = factories.project("Mô hình", "mo-hinh", of=organisation)
    minh = factories.person("minh@sao-mai.example", "Minh")
    factories.member(minh, organisation)
    at_once(
        lambda: services.membership_remove(organisation=organisation, user=minh, role=Membership.Role.MEMBER),
        lambda: services.project_member_add(project=project, user=minh, role=ProjectMembership.Role.RESEARCHER),
    )
    assert not ProjectMembership.objects.filter(user=minh).exists()
