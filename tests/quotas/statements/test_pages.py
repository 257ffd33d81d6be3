"""Pages of statements: what they cost, and what an operator may do there."""

from collections.abc import Callable

import pytest
from django.conf import settings
from django.core import mail
from django.test import Client

from portal.clock import now
from portal.outbox.models import Message
from portal.outbox.services import messages_deliver
from portal.people.models import User
from quotas.allocations.models import Allocation
from quotas.programmes.models import Programme
from quotas.statements.models import Check, Statement
from tests.counting import QUERIES_MOST, queries_of
from tests.quotas.statements.conftest import at
from tests.quotas.statements.making import NOVEMBER, OCTOBER, awards_of_others, issue

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], Client]


def test_an_organisations_page_costs_the_same_for_one_statement_and_for_fourteen(
    allocation: Allocation, organisation_manager: User, client_of: ClientOf
) -> None:
    month = OCTOBER
    issue(month)
    url, client = "/statements/organisations/sao-mai/", client_of(organisation_manager)
    first = queries_of(client, url)
    for _ in range(13):
        month = month.next
        issue(month)

    assert Statement.objects.count() == 14
    assert queries_of(client, url) == first <= QUERIES_MOST
    assert client.get(url).content.count(b"/statements/SK-") == 12


def test_a_month_costs_the_same_for_one_organisation_and_for_twenty(
    allocation: Allocation, programme: Programme, operator: User, client_of: ClientOf
) -> None:
    client = client_of(operator)
    issue(OCTOBER)
    few = [queries_of(client, url) for url in ("/statements/", "/statements/months/2026-10/")]
    with at(2026, 11, 5):
        awards_of_others(programme, 19)
    issue(NOVEMBER)

    assert Statement.objects.filter(period__month="2026-11-01").count() == 20
    assert [queries_of(client, url) for url in ("/statements/", "/statements/months/2026-11/")] == few
    assert max(few) <= QUERIES_MOST
    assert client.get("/statements/months/2026-11/").content.count(b"/statements/SK-") == 20


def test_the_months_say_how_many_statements_and_differences_each_has(
    allocation: Allocation, operator: User, client_of: ClientOf
) -> None:
    statement = issue(OCTOBER)["sao-mai"]
    issue(NOVEMBER)
    Check.objects.create(statement=statement, checked_at=now(), differences=["compute: issued 1, the ledger says 2"])
    client = client_of(operator)
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    rows = {str(row.month): row for row in client.get("/statements/?page=1").context["rows"]}
    assert [(rows[month].statements, rows[month].differences) for month in ("2026-11", "2026-10", "2026-09")] == [
        (1, 0), (1, 1), (0, 0)
    ]  # fmt: skip


@pytest.mark.usefixtures("untypeset")
def test_an_operator_has_a_month_closed_by_the_worker(
    allocation: Allocation, operator: User, organisation_manager: User, client_of: ClientOf
) -> None:
    client = client_of(operator)
    with at(2026, 11, 2):
        assert client.post("/statements/months/2026-10/issue/").status_code == 302
        assert Message.objects.get(topic="statements.issue").key == "2026-10"
        while messages_deliver(queue="default"):
            pass
        page = client.get("/statements/months/2026-10/").content.decode()

    statement = Statement.objects.get()
    assert statement.number in page
    assert statement.files.count() == 7
    [sent] = [one for one in mail.outbox if one.to == [organisation_manager.email]]
    assert f"/statements/{statement.number}/" in sent.body
