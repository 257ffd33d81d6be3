"""An allocation's pages: big figures, each one click from its transfers, those one click from what was booked with
them."""

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from portal.people.models import Organisation, Project, User
from quotas.allocations.models import Allocation
from quotas.allocations.services import refund_book
from quotas.programmes.models import Programme
from tests import factories
from tests.counting import QUERIES_MOST, queries_of
from tests.quotas.makers import HOUR, NOON, award, charge, hold, named, suspend

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], Client]


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def english(client_of: ClientOf, person: User) -> Client:
    client = client_of(person)
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    return client


@pytest.fixture
def reader(client_of: ClientOf, auditor: User) -> Client:
    return english(client_of, auditor)


def test_the_page_shows_granted_held_consumed_and_remaining(reader: Client, allocation: Allocation) -> None:
    charge(allocation, "1", 10 * HOUR, hold_id=hold(allocation, "1", 20 * HOUR))
    hold(allocation, "2", 30 * HOUR)
    page = text(reader.get(reverse("allocations:detail", args=[allocation.pk])))
    for figure, hours in (("granted", 100), ("held", 30), ("consumed", 10), ("remaining", 60)):
        assert f'?figure={figure}">{hours}</a>' in page
    assert allocation.qos in page
    assert "Overrun</dt>" not in page


def test_an_overrun_is_shown_and_who_bears_it(reader: Client, allocation: Allocation) -> None:
    charge(allocation, "1", 103 * HOUR)
    page = text(reader.get(reverse("allocations:detail", args=[allocation.pk])))
    assert '?figure=overrun">3</a>' in page
    assert "borne by the centre" in page


def test_an_auditor_follows_a_figure_to_its_transfers_and_their_batch_in_two_clicks(
    reader: Client, allocation: Allocation
) -> None:
    charge(allocation, "1", 10 * HOUR, hold_id=hold(allocation, "1", 10 * HOUR))
    refund_book(
        allocation_id=allocation.pk,
        record_charge_id=named("charge 1"),
        refund_id=named("refund"),
        amount_gpu_seconds=HOUR,
        event_at=NOON,
        reason="node failed",
        actor="test",
    )
    first = text(reader.get(reverse("allocations:transfers", args=[allocation.pk]) + "?figure=consumed"))
    assert "9 GPU-hours (32,400 GPU-seconds)" in first
    assert "36,000" in first
    batch = reverse("allocations:batch", args=[allocation.pk, named("charge 1")])
    assert batch in first
    second = text(reader.get(batch))
    assert "job 1" in second
    assert "refund: node failed" in second


@pytest.mark.parametrize("figure", ["granted", "held", "consumed", "expired", "overrun", "remaining", "withdrawals"])
def test_every_figure_has_a_page_even_when_it_is_zero(reader: Client, allocation: Allocation, figure: str) -> None:
    response = reader.get(reverse("allocations:transfers", args=[allocation.pk]) + f"?figure={figure}")
    assert response.status_code == 200


def test_transfers_come_in_pages(reader: Client, allocation: Allocation) -> None:
    for number in range(60):
        charge(allocation, str(number), 60)
    address = reverse("allocations:transfers", args=[allocation.pk]) + "?figure=consumed"
    assert text(reader.get(address)).count("<tr>") == 51
    assert text(reader.get(address + "&page=2")).count("<tr>") == 11


def test_an_operator_suspends_resumes_and_closes_with_a_reason(
    client_of: ClientOf, operator: User, allocation: Allocation
) -> None:
    client = client_of(operator)
    for verb, state in (("suspend", "suspended"), ("resume", "active"), ("close", "closed")):
        client.post(reverse(f"allocations:{verb}", args=[allocation.pk]), {"reason": f"why {verb}"})
        allocation.refresh_from_db()
        assert (allocation.state, allocation.state_reason) == (state, f"why {verb}")


def test_a_change_that_came_too_late_is_told(client_of: ClientOf, operator: User, allocation: Allocation) -> None:
    suspend(allocation)
    response = english(client_of, operator).post(
        reverse("allocations:suspend", args=[allocation.pk]), {"reason": "again"}, follow=True
    )
    assert "the state is now “Suspended”" in text(response)


def test_others_are_not_offered_a_change(client_of: ClientOf, researcher: User, allocation: Allocation) -> None:
    page = text(client_of(researcher).get(reverse("allocations:detail", args=[allocation.pk])))
    assert reverse("allocations:suspend", args=[allocation.pk]) not in page


def test_the_projects_card_lists_its_allocations(client_of: ClientOf, researcher: User, allocation: Allocation) -> None:
    address = reverse("allocations:project_card", args=[allocation.project.slug])
    page = text(client_of(researcher).get(address))
    assert reverse("allocations:detail", args=[allocation.pk]) in page
    assert "<html" not in page


def test_the_organisations_card_lists_what_the_person_may_see(
    client_of: ClientOf,
    organisation_manager: User,
    researcher: User,
    organisation: Organisation,
    programme: Programme,
    allocation: Allocation,
) -> None:
    other = award(factories.project("Riêng", "rieng", of=organisation), programme, gpu_seconds=HOUR)
    address = reverse("allocations:organisation_card", args=[organisation.slug])
    for person, seen in ((organisation_manager, [allocation, other]), (researcher, [allocation])):
        page = text(client_of(person).get(address))
        shown = [row for row in (allocation, other) if reverse("allocations:detail", args=[row.pk]) in page]
        assert shown == seen


@pytest.mark.parametrize(
    "name",
    ["allocations:list", "allocations:home_card", "allocations:project_card", "allocations:organisation_card"],
)
def test_a_list_of_thirty_costs_as_many_queries_as_one_of_three(
    client_of: ClientOf,
    pi: User,
    operator: User,
    project: Project,
    programme: Programme,
    name: str,
) -> None:
    client = client_of(operator if name == "allocations:organisation_card" else pi)
    args = {
        "allocations:project_card": [project.slug],
        "allocations:organisation_card": [project.organisation.slug],
    }.get(name, [])

    def queries_with(count: int) -> int:
        while Allocation.objects.count() < count:
            award(project, programme, gpu_seconds=HOUR)
        return queries_of(client, reverse(name, args=args))

    assert queries_with(3) == queries_with(30) <= QUERIES_MOST


def test_a_page_of_transfers_costs_the_same_queries_whatever_its_length(reader: Client, allocation: Allocation) -> None:
    address = reverse("allocations:transfers", args=[allocation.pk]) + "?figure=consumed"

    def queries_with(count: int) -> int:
        for number in range(count):
            charge(allocation, str(number), 60)
        return queries_of(reader, address)

    assert queries_with(3) == queries_with(30) <= QUERIES_MOST
