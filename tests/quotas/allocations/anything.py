"""What people, jobs and days can do to a voucher with money, as the rules of a state machine."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import wraps
from uuid import UUID, uuid4

import time_machine
from django.db import transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from portal.clock import centre_date, now
from portal.people.models import Membership, Organisation
from quotas.allocations import tasks
from quotas.allocations.errors import QuotaError
from quotas.allocations.models import Allocation, CloseOut, Refund, Tranche, Voucher, Withdrawal
from quotas.allocations.services import (
    Charge,
    TranchePlan,
    allocation_close,
    allocation_create,
    allocation_resume,
    allocation_suspend,
    charges_book,
    closeout,
    correction_book,
    hold_take,
    hold_void,
    proposed,
    voucher_award,
    voucher_return,
    withdrawal_cancel,
    withdrawal_confirm,
    withdrawal_request,
)
from quotas.allocations.services.changes import change_propose, change_request
from quotas.allocations.services.progress import report_accept, report_submit, tranche_decide
from quotas.programmes.errors import ProgrammeError
from quotas.programmes.services import programme_create
from quotas.programmes.terms import Terms
from quotas.proposals.errors import ProposalError
from quotas.proposals.models import Proposal
from quotas.proposals.services import proposal_approve
from quotas.statements.services import last_month_issue
from tests import factories
from tests.quotas import makers

BEGIN = datetime(2030, 1, 3, 5, 0, tzinfo=UTC)
BUDGET = 1_000_000
AMOUNTS = st.integers(1, 400)
WHICH = st.integers(0, 2)
Verb = Callable[..., None]


def verb(act: Verb) -> Verb:
    """On the machine's day. What is refused changes nothing, and is none of the invariants' business."""

    @wraps(act)
    def acted(self: "Anything", *given: object, **named: object) -> None:
        with time_machine.travel(self.clock, tick=False), suppress(QuotaError, ProposalError, ProgrammeError):
            act(self, *given, **named)

    return acted


class Anything(RuleBasedStateMachine):
    """One voucher of 1,000 GPU-seconds in three parts; odd tariffs, so that every booking has something to round."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = BEGIN
        self.around = transaction.atomic()  # of what one sequence did, the next finds nothing
        self.around.__enter__()

    @initialize(share=st.sampled_from([0, 1, 3_333, 6_667, 10_000]), first=st.integers(1, 990))
    def begin(self, share: int, first: int) -> None:
        slug = "sao-mai"
        self.holds: dict[UUID, int] = {}
        self.charges: dict[UUID, int] = {}
        self.revisions = 0
        with time_machine.travel(self.clock, tick=False):
            today = centre_date(now())
            organisation = factories.organisation(slug, slug, kind=Organisation.Kind.SME)
            self.organisation = organisation
            self.manager = factories.person(f"{slug}@x.example", slug)
            factories.member(self.manager, organisation, Membership.Role.MANAGER)
            self.projects = [factories.project(slug, f"{slug}-{place}", of=organisation) for place in range(2)]
            self.programme = programme_create(
                name=slug,
                slug=slug,
                starts_on=today,
                ends_on=today + timedelta(days=4_000),
                budgets={"h100": 2_000, "h200": 2_000},
                budget_vnd=BUDGET,
                terms=Terms(shares={"sme": share}, clawback_on=today + timedelta(days=40), clawback_basis_points=3_333),
                actor="test",
            )
            self.first = voucher_award(
                organisation=organisation,
                project=self.projects[0],
                programme=self.programme,
                gpu_type="h100",
                amount_gpu_seconds=1_000,
                cluster="local",
                starts_on=today,
                ends_on=today + timedelta(days=60),
                actor="test",
                tranches=[
                    TranchePlan(first, today),
                    TranchePlan(1, today + timedelta(days=20)),
                    TranchePlan(999 - first, needs_report=True),
                ],
            )

    # --- whom and what a verb is about --------------------------------------------------------------------------------

    @property
    def vouchers(self) -> list[Voucher]:
        rows = Voucher.objects.filter(organisation=self.organisation).select_related("organisation", "programme")
        return list(rows.order_by("pk"))

    def allocation(self, which: int) -> Allocation:
        rows = list(Allocation.objects.filter(voucher__organisation=self.organisation).order_by("pk"))
        return rows[which % len(rows)]

    def approve(self, proposal: Proposal) -> None:
        proposal_approve(proposal=proposal, person=makers.decider("b"))

    # --- jobs ---------------------------------------------------------------------------------------------------------

    @rule(which=WHICH, amount=AMOUNTS)
    @verb
    def job_waits(self, which: int, amount: int) -> None:
        hold, allocation = uuid4(), self.allocation(which)
        hold_take(
            allocation_id=allocation.pk,
            hold_id=hold,
            amount_gpu_seconds=amount,
            event_at=now(),
            reason="job",
            actor="test",
        )
        self.holds[hold] = allocation.pk

    @rule(used=st.integers(0, 500), which=WHICH, is_cancelled=st.booleans())
    @verb
    def job_ends(self, used: int, which: int, is_cancelled: bool) -> None:
        """The oldest that waits, cancelled or run; without one a job that nobody saw."""
        hold, allocation = next(iter(self.holds.items()), (None, self.allocation(which).pk))
        if hold is not None:
            del self.holds[hold]
            if is_cancelled:
                hold_void(hold_id=hold, event_at=now(), reason="cancelled", actor="test")
                return
        charge = Charge(
            charge_id=uuid4(),
            allocation_id=allocation,
            gpu_seconds=used,
            hold_id=hold,
            event_at=now(),
            reason="job",
        )
        charges_book(charges=[charge], actor="test")
        if used:
            self.charges[charge.charge_id] = allocation

    @rule(difference=st.integers(-300, 300).filter(bool))
    @verb
    def record_changes(self, difference: int) -> None:
        for charge, allocation in list(self.charges.items())[-1:]:
            self.revisions += 1
            correction_book(
                allocation_id=allocation,
                record_charge_id=charge,
                revision=self.revisions,
                difference_gpu_seconds=difference,
                event_at=now(),
                reason="changed",
                actor="test",
            )

    @rule(amount=AMOUNTS)
    @verb
    def refund(self, amount: int) -> None:
        for charge, allocation in list(self.charges.items())[-1:]:
            self.approve(
                proposed.refund_propose(
                    allocation=Allocation.objects.get(pk=allocation),
                    charge_id=charge,
                    amount_gpu_seconds=amount,
                    reason="NODE_FAIL",
                    person=makers.decider("a"),
                )
            )

    @rule(amount=AMOUNTS)
    @verb
    def refund_is_corrected(self, amount: int) -> None:
        for refund in Refund.objects.filter(allocation__voucher__organisation=self.organisation).order_by("-pk")[:1]:
            self.approve(
                proposed.correction_propose(
                    refund=refund, amount_gpu_seconds=amount, reason="too much", person=makers.decider("a")
                )
            )

    # --- the organisation ---------------------------------------------------------------------------------------------

    @rule(which=WHICH, amount=AMOUNTS, is_move=st.booleans())
    @verb
    def take_out(self, which: int, amount: int, is_move: bool) -> None:
        withdrawal_request(
            allocation_id=self.allocation(which).pk,
            kind="move" if is_move else "return",
            amount_gpu_seconds=amount,
            reason="x",
            event_at=now(),
            actor=self.manager,
            target_id=self.allocation(which + 1).pk if is_move else None,
        )

    @rule(amount=AMOUNTS, which=WHICH)
    @verb
    def give_to_a_project(self, amount: int, which: int) -> None:
        voucher = self.vouchers[which % len(self.vouchers)]
        if voucher.allocations.count() < 3:
            allocation_create(
                voucher=voucher,
                project=self.projects[1],
                cluster="local",
                amount_gpu_seconds=amount,
                starts_on=voucher.starts_on,
                ends_on=voucher.ends_on,
                actor=self.manager,
            )

    @rule(amount=AMOUNTS, which=WHICH)
    @verb
    def give_back(self, amount: int, which: int) -> None:
        voucher = self.vouchers[which % len(self.vouchers)]
        voucher_return(voucher_id=voucher.pk, amount_gpu_seconds=amount, reason="x", actor=self.manager)

    @rule(kind=st.sampled_from(["more", "longer", "gpu_type"]), amount=AMOUNTS)
    @verb
    def change(self, kind: str, amount: int) -> None:
        voucher = self.vouchers[0]
        asked = change_request(
            voucher=voucher,
            kind=kind,
            reason="x",
            person=self.manager,
            amount_gpu_seconds=None if kind == "longer" else amount,
            ends_on=voucher.ends_on + timedelta(days=amount % 40 + 1) if kind == "longer" else None,
            gpu_type="h200" if kind == "gpu_type" else "",
        )
        self.approve(change_propose(request_id=asked.pk, reason="x", person=makers.decider("a")))

    @rule()
    @verb
    def report(self) -> None:
        for tranche in Tranche.objects.filter(voucher=self.first.voucher_id, needs_report=True, state="pending"):
            row = report_submit(tranche_id=tranche.pk, text="x", links="", person=self.manager)
            report_accept(report_id=row.pk, answer="", person=makers.decider("a"))

    # --- the centre ---------------------------------------------------------------------------------------------------

    @rule(which=WHICH, is_released=st.booleans())
    @verb
    def tranche(self, which: int, is_released: bool) -> None:
        row = Tranche.objects.filter(voucher=self.first.voucher_id)[which]
        tranche_decide(tranche_id=row.pk, is_released=is_released, reason="x", person=makers.decider("a"))

    @rule(share=st.integers(1, 6_000), which=WHICH)
    @verb
    def claw_back(self, share: int, which: int) -> None:
        voucher = self.vouchers[which % len(self.vouchers)]
        self.approve(
            proposed.clawback_propose(voucher=voucher, basis_points=share, reason="x", person=makers.decider("a"))
        )

    @rule(which=WHICH, act=st.sampled_from([allocation_suspend, allocation_resume] * 3 + [allocation_close]))
    @verb
    def state(self, which: int, act: Verb) -> None:
        act(allocation_id=self.allocation(which).pk, reason="x", actor=makers.decider("a"))

    @rule(cancel=st.integers(0, 5))
    @verb
    def cluster(self, cancel: int) -> None:
        """Slurm's limits were lowered and read back; now and then an operator was quicker."""
        for row in Withdrawal.objects.filter(allocation__voucher__organisation=self.organisation, state="requested"):
            if cancel == 0 and row.kind != "expiry":
                withdrawal_cancel(withdrawal_id=row.pk, reason="x", event_at=now(), actor="test")
            else:
                withdrawal_confirm(withdrawal_id=row.pk, event_at=now(), actor="test")

    @rule(days=st.integers(1, 25))
    def days_pass(self, days: int) -> None:
        self.clock += timedelta(days=days)
        with time_machine.travel(self.clock, tick=False):
            tasks.expire_ended()
            tasks.vouchers_follow()
            last_month_issue(actor="test")

    @rule()
    @verb
    def close_out(self) -> None:
        for row in CloseOut.objects.filter(voucher__organisation=self.organisation, state="open"):
            closeout.close_out_submit(close_out_id=row.pk, title="x", summary="x", links={}, person=self.manager)
            found = {name: closeout.Found(True, "x") for name in row.voucher.commitments}
            closeout.close_out_close(close_out_id=row.pk, found=found, person=makers.decider("a"))
