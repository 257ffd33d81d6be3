"""The pages of a decision, as each person sees them."""

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from portal.people.models import Organisation, User
from quotas.applications.models import Application
from quotas.programmes.models import Call, Programme
from quotas.reviews.models import Decision
from quotas.reviews.services import assignment_make, decision_confirm, decision_reject, reviewer_add
from tests import factories
from tests.counting import QUERIES_MOST, queries_of
from tests.quotas.applications.conftest import submit
from tests.quotas.reviews.conftest import Apply, Propose, another_reviewer, reviewed

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], Client]
CALL_PAGES = ("ranking", "matrix")


def english(client_of: ClientOf, person: User) -> Client:
    client = client_of(person)
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    return client


def text(response: Any) -> str:
    return str(response.content.decode())


def test_withdrawing_what_was_decided_in_the_meantime_says_so(
    client_of: ClientOf, organisation_manager: User, propose: Propose, second_operator: User
) -> None:
    decision = decision_confirm(person=second_operator, decision=propose(outcome="refusal"))
    client = english(client_of, organisation_manager)
    response = client.post(reverse("applications:withdraw", args=[decision.application_id]), follow=True)
    assert "the application is now “Refused”" in text(response)


# --- deciding -----------------------------------------------------------------------------------------------------


def test_an_operator_proposes_a_part_and_another_confirms(
    client_of: ClientOf, operator: User, second_operator: User, application: Application
) -> None:
    client_of(operator).post(
        reverse("reviews:propose", args=[application.pk]),
        {"outcome": "award", "awarded_gpu_hours": "300", "cluster": "local", "project": "", "reason": "Tốt"},
    )
    decision = Decision.objects.get()
    client = client_of(second_operator)
    page = client.get(reverse("reviews:application", args=[application.pk]))
    address = reverse("reviews:confirm", args=[application.pk, decision.pk])
    assert address in text(page)
    response = client.post(address, follow=True)
    decision.refresh_from_db()
    assert decision.allocation is not None
    assert reverse("allocations:detail", args=[decision.allocation.pk]) in text(response)


def test_the_proposer_is_told_that_another_person_must_confirm(
    client_of: ClientOf, operator: User, propose: Propose
) -> None:
    decision = propose()
    client = english(client_of, operator)
    address = reverse("reviews:confirm", args=[decision.application_id, decision.pk])
    page = client.get(reverse("reviews:application", args=[decision.application_id]))
    assert "Another person must confirm it" in text(page)
    assert address not in text(page)
    response = client.post(address, follow=True)
    assert "Another person must confirm it" in text(response)
    assert Decision.objects.get().state == "proposed"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("outcome", "maybe"),
        ("awarded_gpu_hours", "0"),
        ("awarded_gpu_hours", "501"),
        ("cluster", "elsewhere"),
        ("project", "0"),
        ("reason", ""),
    ],
)
def test_a_wrong_proposal_is_refused_beside_its_field(
    client_of: ClientOf, operator: User, application: Application, field: str, value: str
) -> None:
    data = {"outcome": "award", "awarded_gpu_hours": "300", "cluster": "local", "project": "", "reason": "Tốt"}
    response = client_of(operator).post(reverse("reviews:propose", args=[application.pk]), data | {field: value})
    assert response.status_code == 422
    assert list(response.context["proposal"].errors) == [field]
    assert not Decision.objects.exists()


def test_an_award_above_the_budget_says_the_figures(
    client_of: ClientOf, operator: User, application: Application
) -> None:
    Application.objects.update(gpu_hours=5_000)
    response = english(client_of, operator).post(
        reverse("reviews:propose", args=[application.pk]),
        {"outcome": "award", "awarded_gpu_hours": "1500", "cluster": "local", "project": "", "reason": "Tốt"},
    )
    assert response.status_code == 422
    assert "has 1,000 H100 GPU-hours left; this needs 1,500" in text(response)


def test_an_award_above_the_budget_at_its_confirmation_says_the_figures(
    client_of: ClientOf,
    organisation: Organisation,
    organisation_manager: User,
    programme: Programme,
    propose: Propose,
    second_operator: User,
) -> None:
    slow = propose()
    other = submit(organisation_manager, organisation, programme, project_title="Khác", gpu_hours=700)
    decision_confirm(person=second_operator, decision=propose(application=other, awarded_gpu_hours=700))
    response = english(client_of, second_operator).post(
        reverse("reviews:confirm", args=[slow.application_id, slow.pk]), follow=True
    )
    assert "has 300 H100 GPU-hours left; this needs 400" in text(response)


def test_a_refusal_needs_no_hours(client_of: ClientOf, operator: User, application: Application) -> None:
    response = client_of(operator).post(
        reverse("reviews:propose", args=[application.pk]), {"outcome": "refusal", "reason": "Không phù hợp"}
    )
    assert response.status_code == 302
    assert Decision.objects.get().outcome == "refusal"


def test_a_proposal_is_sent_back_with_a_reason(client_of: ClientOf, approver: User, propose: Propose) -> None:
    decision = propose()
    client = client_of(approver)
    address = reverse("reviews:send_back", args=[decision.application_id, decision.pk])
    assert client.post(address, {"reason": ""}).status_code == 422
    response = client.post(address, {"reason": "Giảm một nửa"}, follow=True)
    assert "Giảm một nửa" in text(response)
    assert Application.objects.get().state == "submitted"


def test_a_member_of_the_applying_organisation_is_offered_nothing_and_told_why(
    client_of: ClientOf, operator: User, second_operator: User, organisation: Organisation, propose: Propose
) -> None:
    decision = propose()
    factories.member(second_operator, organisation)
    client = english(client_of, second_operator)
    page = text(client.get(reverse("reviews:application", args=[decision.application_id])))
    assert "other people decide on this application" in page
    address = reverse("reviews:confirm", args=[decision.application_id, decision.pk])
    assert address not in page
    assert "other people decide" in text(client.post(address, follow=True))
    decision_reject(person=operator, decision=decision, reason="x")
    address = reverse("reviews:propose", args=[decision.application_id])
    data = {"outcome": "award", "awarded_gpu_hours": "1", "cluster": "local", "reason": "x"}
    assert "other people decide" in text(client.post(address, data))


# --- the queue ----------------------------------------------------------------------------------------------------


def test_the_queue_says_whom_each_application_waits_for(
    client_of: ClientOf, operator: User, second_operator: User, propose: Propose
) -> None:
    address = reverse("reviews:queue")
    assert "A proposal" in text(english(client_of, operator).get(address))
    propose()
    assert "Another person: you proposed" in text(english(client_of, operator).get(address))
    assert "A confirmation" in text(english(client_of, second_operator).get(address))


@pytest.mark.parametrize("name", ["reviews:queue", "reviews:card", "applications:list"])
def test_a_list_of_thirty_costs_as_many_queries_as_one_of_three(
    client_of: ClientOf, operator: User, application: Application, propose: Propose, name: str
) -> None:
    client = client_of(operator)

    def queries_with(count: int) -> int:
        while Application.objects.count() < count:
            application.pk = None
            application.state = "submitted"
            application.save(force_insert=True)
            propose(application=Application.objects.get(pk=application.pk), awarded_gpu_hours=1)
        return queries_of(client, reverse(name))

    assert queries_with(3) == queries_with(30) <= QUERIES_MOST


def test_a_calls_pages_cost_the_same_whatever_its_length(
    client_of: ClientOf, apply: Apply, call: Call, operator: User, reviewer: User
) -> None:
    client, addresses = client_of(operator), [reverse(f"reviews:{name}", args=[call.slug]) for name in CALL_PAGES]
    addresses.append(reverse("reviews:calls"))

    def queries_with(count: int) -> list[int]:
        for number in range(count):
            made = apply(f"Application {number} of {count}")
            joined = another_reviewer(f"{number}-of-{count}")
            another_reviewer(f"free-{number}-of-{count}")
            reviewer_add(person=operator, call=call, reviewer=joined)
            reviewed(assignment_make(person=operator, application=made, reviewer=joined))
        return [queries_of(client, address) for address in addresses]

    few = queries_with(2)
    assert queries_with(20) == few
    assert max(few) <= QUERIES_MOST


def test_a_reviewers_list_costs_the_same_whatever_its_length(
    client_of: ClientOf, apply: Apply, call: Call, operator: User, reviewer: User
) -> None:
    client = client_of(reviewer)
    reviewer_add(person=operator, call=call, reviewer=reviewer)

    def queries_with(count: int) -> list[int]:
        for number in range(count):
            made = apply(f"Application {number} of {count}")
            assignment_make(person=operator, application=made, reviewer=reviewer)
        return [queries_of(client, reverse(name)) for name in ("reviews:list", "reviews:reviewer_card")]

    few = queries_with(2)
    assert queries_with(15) == few
    assert max(few) <= QUERIES_MOST
