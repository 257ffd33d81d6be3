"""Pages of statements: what they cost, and what an operator may do there."""

from collections.abc import Callable

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from portal.outbox.models import Message
from portal.outbox.services import messages_deliver
from portal.people.models import User
from quotas.allocations.models import Allocation
from quotas.statements.models import Statement
from tests.quotas.statements.conftest import at
from tests.quotas.statements.making import OCTOBER, issue

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], Client]


def queries(client: Client, url: str) -> int:
    client.get(url)
    with CaptureQueriesContext(connection) as found:
        assert client.get(url).status_code == 200
    return len(found)


def test_an_organisations_page_costs_the_same_for_one_statement_and_for_fourteen(
    allocation: Allocation, organisation_manager: User, client_of: ClientOf
) -> None:
    month = OCTOBER
    issue(month)
    url, client = "/statements/organisations/sao-mai/", client_of(organisation_manager)
    first = queries(client, url)
    for _ in range(13):
        month = month.next
        issue(month)

    assert Statement.objects.count() == 14
    assert queries(client, url) == first <= 12
    assert client.get(url).content.count(b"/statements/SK-") == 12


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
    [sent] = mail.outbox
    assert sent.to == [organisation_manager.email]
    assert f"/statements/{statement.number}/" in sent.body
