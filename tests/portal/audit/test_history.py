from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.db import Error, connection, transaction
from django.http import Http404
from django.test import Client

from portal.audit.context import acting
from portal.audit.selectors import EVENTS_A_PAGE, Event, Filters, event_page
from portal.clock import centre_date, centre_zone, now
from portal.people import services
from portal.people.models import CentreRole, Organisation, User, UserEvent
from quotas.programmes.models import Programme
from tests import factories
from tests.counting import QUERIES_MOST, queries_of


def history(reader: User, **filters: object) -> list[Event]:
    return event_page(reader, Filters(**filters))[0]


def test_a_change_is_kept_with_who_and_why(auditor: User, operator: User, nobody: User) -> None:
    services.unix_account_set(user=nobody, name="khanh", actor=operator)
    [event] = history(auditor, model="people.user", object_id=str(nobody.pk), label="changed")
    assert event.actor == operator
    assert event.why == "unix_account_set"
    assert [(change.before, change.after) for change in event.changes] == [("", "khanh")]


def test_a_process_names_itself(auditor: User, nobody: User) -> None:
    with acting("worker:cluster.local", "settlement"):
        services.language_set(user=nobody, language="en")
    [event] = history(auditor, model="people.user", object_id=str(nobody.pk), label="changed")
    assert (event.process, event.why, event.actor) == ("worker:cluster.local", "settlement", None)


def test_what_bypasses_the_portal_is_kept_too(auditor: User, nobody: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE people_user SET full_name = 'Someone Else' WHERE id = %s", [nobody.pk])
    [event] = history(auditor, model="people.user", object_id=str(nobody.pk), label="changed")
    assert event.changes[0].after == "Someone Else"


def test_a_deletion_shows_what_was_lost(auditor: User, nobody: User) -> None:
    services.centre_role_grant(user=nobody, role=CentreRole.Role.REVIEWER)
    services.centre_role_revoke(user=nobody, role=CentreRole.Role.REVIEWER)
    [event] = history(auditor, model="people.centrerole", label="deleted")
    assert ("reviewer", "") in [(change.before, change.after) for change in event.changes]


@pytest.mark.parametrize("change", ["UPDATE people_userevent SET full_name = 'x'", "DELETE FROM people_userevent"])
def test_the_history_cannot_be_changed(nobody: User, change: str) -> None:
    with pytest.raises(Error, match="Cannot"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change)


def test_no_password_is_in_the_history() -> None:
    assert "password" not in [field.name for field in UserEvent._meta.fields]


def test_pages_join_without_gap_or_repetition(auditor: User, nobody: User) -> None:
    for number in range(EVENTS_A_PAGE + 20):
        services.language_set(user=nobody, language=["en", "vi"][number % 2])
    seen: list[str] = []
    before = ""
    while True:
        page, older = event_page(auditor, Filters(before=before))
        seen += [event.cursor for event in page]
        if not older:
            break
        before = older
    assert len(seen) == len(set(seen))
    assert len(seen) >= EVENTS_A_PAGE + 20


def test_it_filters_by_person_and_by_the_centres_day(auditor: User, operator: User, nobody: User) -> None:
    services.unix_account_set(user=nobody, name="khanh", actor=operator)
    today = centre_date(now())
    assert [event.actor for event in history(auditor, actor_id=operator.pk, since=today, until=today)] == [operator]
    assert history(auditor, actor_id=operator.pk, until=today - timedelta(days=1)) == []


@pytest.mark.parametrize("before", ["x", "2026-01-01|a|b", "2026-01-01T00:00:00|people.user|1", "||"])
def test_a_made_up_cursor_is_not_found(auditor: User, before: str) -> None:
    with pytest.raises(Http404):
        history(auditor, before=before)


@pytest.mark.parametrize("object_id", ["x", "99999999999999999999", "'", "1.5"])
def test_a_number_that_is_none_finds_nothing(auditor: User, object_id: str) -> None:
    assert history(auditor, object_id=object_id) == []


def test_a_researcher_has_no_history_to_read(researcher: User) -> None:
    with pytest.raises(Http404):
        history(researcher)


def test_a_change_shows_every_kind_of_value_as_it_is_written(auditor: User, nobody: User) -> None:
    moment = now()
    today = centre_date(moment)
    programme = Programme.objects.create(
        name="Chương trình", slug="chuong-trinh", starts_on=today, ends_on=today, created_at=moment
    )
    Programme.objects.filter(pk=programme.pk).update(ends_on=today + timedelta(days=1), imported=True)
    changed, created = history(auditor, model="programmes.programme")
    assert {(change.before, change.after) for change in changed.changes} == {
        (str(today), str(today + timedelta(days=1))),
        ("False", "True"),
    }
    at = moment.astimezone(centre_zone()).strftime("%Y-%m-%d %H:%M:%S")
    assert {"Chương trình", str(today), "False", at} <= {change.after for change in created.changes}


def test_a_page_costs_the_same_however_many_models_stand_on_it(
    client_of: Callable[[User], Client], auditor: User, organisation_manager: User, operator: User
) -> None:
    client = client_of(auditor)
    few = queries_of(client, "/audit/?model=people.user")
    factories.project("Dự án", "du-an", of=Organisation.objects.get())
    assert len({event.model for event in history(auditor)}) > 3
    assert queries_of(client, "/audit/") == few <= QUERIES_MOST


@pytest.fixture
def told() -> Iterator[list[str]]:
    """The statements that told a transaction who acts. They go past Django: what PostgreSQL was sent is asked."""
    found: list[str] = []
    connection.ensure_connection()
    send = connection.connection.execute

    def noted(sql: str, *arguments: Any) -> Any:
        found.append(sql)
        return send(sql, *arguments)

    with mock.patch.object(connection.connection, "execute", noted):
        yield found


def whys(reader: User, of: User) -> list[str]:
    return [
        event.why for event in reversed(history(reader, model="people.user", object_id=str(of.pk), label="changed"))
    ]


def renamed(person: User, name: str) -> None:
    User.objects.filter(pk=person.pk).update(full_name=name)


@pytest.mark.django_db(transaction=True)
def test_a_transaction_is_told_once(told: list[str], auditor: User, nobody: User) -> None:
    told.clear()
    with acting("worker:x", "twice"), transaction.atomic():
        renamed(nobody, "A")
        with transaction.atomic():
            renamed(nobody, "B")
        renamed(nobody, "C")
    assert len(told) == 1
    assert whys(auditor, nobody) == ["twice"] * 3


@pytest.mark.django_db(transaction=True)
def test_what_a_savepoint_took_along_when_it_was_undone_is_told_again(
    told: list[str], auditor: User, nobody: User
) -> None:
    told.clear()
    with acting("worker:x", "kept"), transaction.atomic():
        with suppress(ZeroDivisionError), transaction.atomic():
            renamed(nobody, "undone")
            raise ZeroDivisionError
        renamed(nobody, "A")
    assert len(told) == 2
    assert whys(auditor, nobody) == ["kept"]


@pytest.mark.django_db(transaction=True)
def test_each_transaction_of_a_context_is_told_and_none_after_it(auditor: User, nobody: User) -> None:
    with acting("worker:x", "mine"):
        for name in ("A", "B"):
            with transaction.atomic():
                renamed(nobody, name)
        renamed(nobody, "by itself")
        with suppress(ZeroDivisionError), transaction.atomic():
            renamed(nobody, "undone")
            raise ZeroDivisionError
        with transaction.atomic():
            renamed(nobody, "C")
    renamed(nobody, "nobody's")
    with transaction.atomic():
        renamed(nobody, "nobody's either")
    assert whys(auditor, nobody) == ["mine"] * 4 + ["", ""]


@pytest.mark.django_db(transaction=True)
def test_a_reason_given_in_the_middle_holds_from_there_on(auditor: User, nobody: User) -> None:
    with acting("worker:x"), transaction.atomic():
        renamed(nobody, "A")
        with acting(None, "because"):
            renamed(nobody, "B")
        renamed(nobody, "C")
    assert whys(auditor, nobody) == ["", "because", "because"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("statement", "values"),
    [
        ("\n update people_user SET full_name = %s WHERE id = %s RETURNING full_name", lambda pk: ["D", pk]),
        (
            "UPDATE people_user SET full_name = %(name)s WHERE id = %(pk)s RETURNING full_name",
            lambda pk: {"name": "D", "pk": pk},
        ),
    ],
)
def test_a_statement_by_itself_is_kept_with_its_reason(
    auditor: User, nobody: User, statement: str, values: Callable[[int], Any]
) -> None:
    with acting("worker:x", "by hand"), connection.cursor() as cursor:
        cursor.execute(statement, values(nobody.pk))
        assert (cursor.rowcount, cursor.fetchone()) == (1, ("D",))
    assert whys(auditor, nobody) == ["by hand"]


def test_a_request_s_changes_have_its_person_and_address(
    client_of: Callable[[User], Client], auditor: User, nobody: User
) -> None:
    client_of(nobody).post("/language/", {"language": "en" if nobody.language == "vi" else "vi"})
    [event] = history(auditor, model="people.user", object_id=str(nobody.pk), label="changed")
    assert (event.actor, event.url, event.why) == (nobody, "/language/", "")
