"""Roles as predicates: what each asks of the database, and when an answer may be an old one."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from portal.people import rules
from portal.people.models import Membership, Organisation, Project, User
from tests import factories
from tests.counting import QUERIES_MOST, queries_of

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], Client]
HOME_QUERIES = 6  # session, person, roles; what the home page says; organisations and projects at the side


def held(person: rules.Person, organisation: Organisation, project: Project) -> set[str]:
    """The names of the predicates that are true of the person."""
    alone = ("is_operator", "is_approver", "is_auditor", "is_reviewer", "reads_everything")
    alone += ("manages_any", "is_in_a_project", "is_in_an_organisation")
    of_project = ("is_member", "is_pi", "manages_members_of")
    found = {name for name in alone if getattr(rules, name)(person)}
    found |= {name for name in of_project if getattr(rules, name)(person, project)}
    return found | ({"manages"} if rules.manages(person, organisation) else set())


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("operator", {"is_operator", "reads_everything"}),
        ("approver", {"is_approver", "reads_everything"}),
        ("auditor", {"is_auditor", "reads_everything"}),
        ("reviewer", {"is_reviewer"}),
        ("organisation_manager", {"manages", "manages_any", "manages_members_of", "is_in_an_organisation"}),
        ("organisation_member", {"is_in_an_organisation"}),
        ("pi", {"is_member", "is_pi", "manages_members_of", "is_in_a_project", "is_in_an_organisation"}),
        ("researcher", {"is_member", "is_in_a_project", "is_in_an_organisation"}),
        ("outsider", {"manages_any", "is_in_an_organisation"}),
        ("other_researcher", {"is_in_a_project", "is_in_an_organisation"}),
        ("nobody", set()),
    ],
)
def test_who_holds_what(
    request: pytest.FixtureRequest, organisation: Organisation, project: Project, role: str, expected: set[str]
) -> None:
    person = request.getfixturevalue(role)
    assert held(person, organisation, project) == expected
    with rules.roles_asked_once(), CaptureQueriesContext(connection) as asked:
        assert held(person, organisation, project) == expected
    assert len(asked) == 1
    person.is_active = False
    assert held(person, organisation, project) == set()


def test_a_stranger_holds_nothing_and_costs_no_query(organisation: Organisation, project: Project) -> None:
    with CaptureQueriesContext(connection) as asked:
        assert held(AnonymousUser(), organisation, project) == set()
    assert not asked


def test_a_role_that_was_taken_away_counts_at_once_where_something_is_written(
    organisation: Organisation, organisation_manager: User
) -> None:
    assert rules.manages(organisation_manager, organisation)
    Membership.objects.filter(user=organisation_manager).delete()
    assert not rules.manages(organisation_manager, organisation)


def test_lists_of_organisations_and_people_cost_the_same_for_any_number(
    client_of: ClientOf, operator: User, organisation: Organisation, project: Project, researcher: User
) -> None:
    client, addresses = client_of(operator), ("/organisations/", "/people/", f"/organisations/{organisation.slug}/")

    def queries_with(count: int) -> list[int]:
        for number in range(count):
            one = factories.organisation(f"Tổ chức {number} of {count}", f"to-chuc-{number}-of-{count}")
            person = factories.person(f"p{number}-of-{count}@sao-mai.example", f"Người {number} of {count}")
            factories.member(person, one)
            factories.member(person, organisation)
            factories.project(f"Dự án {number} of {count}", f"du-an-{number}-of-{count}", of=organisation)
        return [queries_of(client, address) for address in addresses]

    few = queries_with(2)
    assert queries_with(20) == few
    assert max(few) <= QUERIES_MOST


def test_what_stands_around_a_page_costs_the_same_for_any_number_of_organisations_and_projects(
    client_of: ClientOf, organisation_manager: User, organisation: Organisation
) -> None:
    client = client_of(organisation_manager)

    def queries_with(count: int) -> int:
        for number in range(count):
            one = factories.organisation(f"Tổ chức {number} of {count}", f"to-chuc-{number}-of-{count}")
            factories.member(organisation_manager, one, Membership.Role.MANAGER)
            factories.project(f"Dự án {number} of {count}", f"du-an-{number}-of-{count}", of=one)
        return queries_of(client, "/")

    few = queries_with(1)
    assert queries_with(10) == few == HOME_QUERIES
