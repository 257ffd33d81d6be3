"""An award that is not given at once, and what it binds its organisation to."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from portal.people.models import Organisation, User
from quotas.allocations.models import Commitment, Tranche
from quotas.allocations.selectors import allocation_balances
from quotas.allocations.services import TranchePlan
from quotas.applications.errors import Invalid
from quotas.applications.models import Application
from quotas.applications.services import answers_save, application_begin, draft_submit
from quotas.programmes.models import Call
from quotas.reviews.models import Decision
from quotas.reviews.services import decision_confirm
from tests.quotas.applications.conftest import complete_texts
from tests.quotas.makers import HOUR
from tests.quotas.reviews.conftest import Propose

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], Client]


def proposed(client: Client, application: Application, **given: str) -> object:
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    data = {"outcome": "award", "awarded_gpu_hours": "300", "cluster": "local", "project": "", "reason": "Tốt"}
    return client.post(reverse("reviews:propose", args=[application.pk]), data | given)


def page(client: Client, name: str, *args: object) -> str:
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    return " ".join(client.get(reverse(name, args=args)).content.decode().split())


def test_a_part_from_the_first_day_and_the_rest_with_a_report(
    client_of: ClientOf, application: Application, operator: User, second_operator: User
) -> None:
    proposed(client_of(operator), application, first_gpu_hours="100")
    decision = Decision.objects.get()
    for address in (("reviews:application", application.pk), ("proposals:detail", decision.proposal_id)):
        assert "200 GPU-hours with an accepted progress report" in page(client_of(second_operator), *address)
    decision = decision_confirm(person=second_operator, decision=decision)
    assert decision.allocation is not None
    assert allocation_balances([decision.allocation.pk])[decision.allocation.pk].free == 100 * HOUR
    rest = Tranche.objects.get(state="pending")
    assert (rest.amount_gpu_seconds, rest.needs_report, rest.release_on) == (200 * HOUR, True, None)


def test_the_rest_on_a_day(client_of: ClientOf, application: Application, operator: User, approver: User) -> None:
    on = application.starts_on + timedelta(days=90)
    proposed(client_of(operator), application, first_gpu_hours="100", rest_on=on.isoformat())
    decision_confirm(person=approver, decision=Decision.objects.get())
    assert list(Tranche.objects.values_list("state", "release_on", "needs_report")) == [
        ("released", application.starts_on, False),
        ("pending", on, False),
    ]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"first_gpu_hours": "300"}, "first_gpu_hours"),
        ({"first_gpu_hours": "0"}, "first_gpu_hours"),
        ({"rest_on": "2030-01-01"}, "first_gpu_hours"),
        ({"first_gpu_hours": "100", "rest_on": "2001-01-01"}, "rest_on"),
    ],
)
def test_parts_that_cannot_be_are_refused_beside_their_field(
    client_of: ClientOf, application: Application, operator: User, given: dict[str, str], field: str
) -> None:
    response = proposed(client_of(operator), application, **given)
    assert response.status_code == 422  # type: ignore[attr-defined]
    assert list(response.context["proposal"].errors) == [field]  # type: ignore[attr-defined]
    assert not Decision.objects.exists()


def test_parts_add_up_to_the_award(propose: Propose) -> None:
    with pytest.raises(Invalid):
        propose(tranches=[TranchePlan(100 * HOUR), TranchePlan(299 * HOUR)])


def test_a_voucher_commits_to_what_its_application_promised_and_to_nothing_else(
    organisation: Organisation, organisation_manager: User, call: Call, propose: Propose, approver: User
) -> None:
    draft = application_begin(person=organisation_manager, organisation=organisation, call=call)
    answers_save(person=organisation_manager, application=draft, texts=complete_texts(open_data="no"))
    asked = draft_submit(person=organisation_manager, application=draft)
    voucher = decision_confirm(person=approver, decision=propose(application=asked)).voucher
    assert voucher is not None
    assert voucher.commitments == [Commitment.FREE_USE, Commitment.METHODS]
