"""Budgets of money and GPU-hours: added and taken back by proposals, above a limit by three people."""

from datetime import timedelta

import pytest

from portal.clock import centre_date, now
from portal.people.models import User
from quotas.ledger.models import Account
from quotas.ledger.verification import ledger_findings
from quotas.programmes.errors import Invalid
from quotas.programmes.models import Programme
from quotas.programmes.selectors import budget_of, pool_balances
from quotas.programmes.services import budget_propose, programme_create
from quotas.programmes.terms import Terms
from quotas.proposals.errors import CannotBeCarriedOut
from quotas.proposals.services import proposal_approve
from tests.quotas import makers
from tests.quotas.makers import HOUR

pytestmark = pytest.mark.django_db


@pytest.fixture
def empty(db: None) -> Programme:
    return makers.programme("natif", h100_hours=0)


def free(programme: Programme) -> dict[str, int]:
    pools = {
        row.pool.gpu_type: row.free_gpu_seconds // HOUR for row in pool_balances(programme) if row.free_gpu_seconds
    }
    money = budget_of(programme).free_vnd
    return pools | ({"vnd": money} if money else {})


def test_two_people_fund_money_and_gpus_in_one_batch(empty: Programme, operator: User, approver: User) -> None:
    proposal = budget_propose(
        programme=empty,
        vnd=5_000_000_000,
        gpu_seconds={"h100": 10 * HOUR, "h200": HOUR},
        reason="NATIF",
        person=operator,
    )
    assert free(empty) == {}
    proposal_approve(proposal=proposal, person=approver)
    assert free(empty) == {"h100": 10, "h200": 1, "vnd": 5_000_000_000}
    assert budget_of(empty).funded_vnd == 5_000_000_000
    assert Account.objects.get(pk=empty.budget.account_id).kind == Account.Kind.BUDGET
    assert ledger_findings(at=now()).ok


def test_what_is_free_can_be_taken_back_and_counts_as_never_given(
    empty: Programme, operator: User, approver: User
) -> None:
    makers.approved(
        budget_propose(programme=empty, vnd=100, gpu_seconds={"h100": 9 * HOUR}, reason="x", person=operator)
    )
    makers.approved(
        budget_propose(programme=empty, vnd=-40, gpu_seconds={"h100": -4 * HOUR}, reason="x", person=operator)
    )
    assert free(empty) == {"h100": 5, "vnd": 60}
    assert budget_of(empty).funded_vnd == 60
    assert [row.funded_gpu_seconds for row in pool_balances(empty)] == [5 * HOUR]
    for amounts in ({"vnd": -61}, {"gpu_seconds": {"h100": -6 * HOUR}}, {"vnd": 7, "gpu_seconds": {"h100": -6 * HOUR}}):
        proposal = budget_propose(programme=empty, reason="x", person=operator, **amounts)  # type: ignore[arg-type]
        with pytest.raises(CannotBeCarriedOut):
            proposal_approve(proposal=proposal, person=approver)
    assert free(empty) == {"h100": 5, "vnd": 60}


def test_above_the_limit_three_people_decide(operator: User) -> None:
    programme = makers.programme("natif", h100_hours=0, terms=Terms(three_person_above_vnd=1_000_000))

    def needed(**amounts: object) -> int:
        return budget_propose(programme=programme, reason="x", person=operator, **amounts).approvals_needed  # type: ignore[arg-type]

    assert (needed(vnd=1_000_000), needed(vnd=1_000_001), needed(vnd=-1_000_001)) == (1, 2, 2)
    assert needed(gpu_seconds={"h100": 1_000 * HOUR}) == 1  # without a tariff it has no price
    makers.tariff("h100", 1_000)
    assert needed(gpu_seconds={"h100": 1_000 * HOUR}) == 1
    assert needed(gpu_seconds={"h100": 1_001 * HOUR}) == 2
    assert needed(vnd=1, gpu_seconds={"h100": 1_000 * HOUR}) == 2


@pytest.mark.parametrize(
    ("amounts", "field"),
    [
        ({}, "vnd"),
        ({"vnd": 0, "gpu_seconds": {"h100": 0}}, "vnd"),
        ({"vnd": 10**15 + 1}, "vnd"),
        ({"gpu_seconds": {"H100": 1}}, "gpu_type"),
        ({"gpu_seconds": {"h100": 10**12}}, "gpu_hours"),
    ],
    ids=str,
)
def test_what_no_budget_may_say(empty: Programme, operator: User, amounts: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        budget_propose(programme=empty, reason="x", person=operator, **amounts)  # type: ignore[arg-type]
    assert refused.value.field == field


def test_set_up_funds_directly(db: None) -> None:
    today = centre_date(now())
    programme = programme_create(
        name="N",
        slug="n",
        starts_on=today,
        ends_on=today + timedelta(days=1),
        budgets={"h100": HOUR},
        budget_vnd=7,
        actor="test",
    )
    assert free(programme) == {"h100": 1, "vnd": 7}
