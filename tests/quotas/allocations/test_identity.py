"""granted + overrun = consumed + held + remaining + expired, and what Slurm may still start is what is free or held:
after any sequence of the verbs, in any order, refused ones included.

A pure model beside the services knows the holds, the charges and the refunds; the rest is read from the transfers.
"""

import contextlib
import os
from dataclasses import fields
from datetime import date
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from portal.people.models import Organisation
from portal.people.services import organisation_create, project_create
from quotas.allocations.errors import AllocationNotOpen, AmountAboveCharge, BalanceTooSmall, WrongState
from quotas.allocations.models import Allocation, Withdrawal
from quotas.allocations.selectors import allocation_balances, allocation_limits
from quotas.allocations.services import (
    Charge,
    allocation_close,
    allocation_create,
    allocation_expire,
    allocation_resume,
    allocation_suspend,
    charges_book,
    correction_book,
    hold_take,
    hold_void,
    refund_book,
    voucher_award,
    withdrawal_cancel,
    withdrawal_confirm,
    withdrawal_request,
)
from quotas.allocations.statements import organisation_balances
from quotas.programmes.models import Programme
from quotas.programmes.services import programme_create
from tests.quotas.allocations.oracle import balances_by_the_log
from tests.quotas.makers import NOON, named

FACE = 1_000
AMOUNTS = st.integers(1, 700)
WHICH = st.integers(0, 2)


class Verbs(RuleBasedStateMachine):
    """Three allocations of one voucher; the numbers are small, so that balances are met and exceeded all the time."""

    number = 0

    @initialize()
    def begin(self) -> None:
        Verbs.number += 1
        slug = f"machine-{Verbs.number}"
        self.organisation = organisation_create(name=slug, slug=slug, kind=Organisation.Kind.SME)
        project = project_create(organisation=self.organisation, title=slug, slug=f"{slug}-p")
        programme: Programme = programme_create(
            name=slug,
            slug=slug,
            starts_on=date(2026, 1, 1),
            ends_on=date(2099, 1, 1),
            budgets={"h100": FACE},
            actor="test",
        )
        terms = {"cluster": "local", "starts_on": date(2026, 1, 1), "ends_on": date(2099, 1, 1), "actor": "test"}
        first = voucher_award(
            organisation=self.organisation,
            project=project,
            programme=programme,
            gpu_type="h100",
            amount_gpu_seconds=FACE,
            **terms,
        )
        self.ids = [first.pk]
        rows = withdrawal_request(
            allocation_id=first.pk, kind="return", amount_gpu_seconds=500, reason="", event_at=NOON, actor="test"
        )
        withdrawal_confirm(withdrawal_id=rows[0].pk, event_at=NOON, actor="test")
        for amount in (200, 250):
            other = allocation_create(voucher=first.voucher, project=project, amount_gpu_seconds=amount, **terms)
            self.ids.append(other.pk)
        self.count = 0
        self.holds: dict[int, dict[UUID, int]] = {pk: {} for pk in self.ids}
        self.charged: dict[int, dict[UUID, int]] = {pk: {} for pk in self.ids}
        self.revisions: dict[UUID, int] = {}
        self.refunded: dict[UUID, int] = {}

    def fresh(self) -> UUID:
        self.count += 1
        return named(f"{Verbs.number} {self.count}")

    def recent_charge(self, data: st.DataObject) -> tuple[int, UUID]:
        """One of an allocation's last two: so that corrections and refunds of the same charge meet."""
        pk = data.draw(st.sampled_from([pk for pk in self.ids if self.charged[pk]]))
        return pk, data.draw(st.sampled_from(list(self.charged[pk])[-2:]))

    # --- jobs -----------------------------------------------------------------------------------------------------

    @rule(which=WHICH, amount=AMOUNTS)
    def take(self, which: int, amount: int) -> None:
        pk, hold_id = self.ids[which], self.fresh()
        free = allocation_balances([pk])[pk].free
        is_active = Allocation.objects.get(pk=pk).state == "active"
        refusal = AllocationNotOpen if not is_active else BalanceTooSmall if amount > free else None
        with pytest.raises(refusal) if refusal else contextlib.nullcontext():
            hold_take(
                allocation_id=pk,
                hold_id=hold_id,
                amount_gpu_seconds=amount,
                event_at=NOON,
                reason="job",
                actor="test",
            )
            self.holds[pk][hold_id] = amount

    @precondition(lambda self: any(self.holds.values()))
    @rule(data=st.data())
    def void(self, data: st.DataObject) -> None:
        pk, hold_id = data.draw(st.sampled_from([(pk, hold) for pk in self.ids for hold in self.holds[pk]]))
        hold_void(hold_id=hold_id, event_at=NOON, reason="cancelled", actor="test")
        del self.holds[pk][hold_id]

    @rule(which=WHICH, data=st.data(), again=st.booleans())
    def charge(self, which: int, data: st.DataObject, again: bool) -> None:
        """One to three records at once, with and without holds, some with a next run."""
        pk = self.ids[which]
        open_holds = list(self.holds[pk])
        charges = []
        for _index in range(data.draw(st.integers(1, 3))):
            hold_id = open_holds.pop() if open_holds and data.draw(st.booleans()) else None
            next_hold = (self.fresh(), data.draw(AMOUNTS)) if data.draw(st.booleans()) else None
            charges.append(
                Charge(
                    charge_id=self.fresh(),
                    allocation_id=pk,
                    gpu_seconds=data.draw(st.integers(0, 400)),
                    hold_id=hold_id,
                    event_at=NOON,
                    reason="job",
                    next_hold=next_hold,
                )
            )
        booked = charges_book(charges=charges, actor="test")
        for charge, result in zip(charges, booked, strict=True):
            assert result.gpu_seconds == charge.gpu_seconds
            if charge.hold_id:
                del self.holds[pk][charge.hold_id]
            if result.next_hold_taken and charge.next_hold:
                self.holds[pk][charge.next_hold[0]] = charge.next_hold[1]
            if charge.gpu_seconds:
                self.charged[pk][charge.charge_id] = charge.gpu_seconds
        if again:
            before = allocation_balances(self.ids)
            replayed = charges_book(charges=charges, actor="test")
            assert [one.gpu_seconds for one in replayed] == [one.gpu_seconds for one in booked]
            assert allocation_balances(self.ids) == before

    @precondition(lambda self: any(self.charged.values()))
    @rule(data=st.data())
    def correct(self, data: st.DataObject) -> None:
        pk, charge_id = self.recent_charge(data)
        known = self.charged[pk][charge_id]
        difference = data.draw(st.integers(-known, 200).filter(bool))
        self.revisions[charge_id] = self.revisions.get(charge_id, 0) + 1
        correction_book(
            allocation_id=pk,
            record_charge_id=charge_id,
            revision=self.revisions[charge_id],
            difference_gpu_seconds=difference,
            event_at=NOON,
            reason="changed",
            actor="test",
        )
        self.charged[pk][charge_id] += difference
        self.refunded[charge_id] = min(self.refunded.get(charge_id, 0), known + difference)

    @precondition(lambda self: any(self.charged.values()))
    @rule(data=st.data())
    def refund(self, data: st.DataObject) -> None:
        pk, charge_id = self.recent_charge(data)
        amount = data.draw(st.integers(1, self.charged[pk][charge_id] + 1))
        with contextlib.suppress(AmountAboveCharge):
            refund_book(
                allocation_id=pk,
                record_charge_id=charge_id,
                refund_id=self.fresh(),
                amount_gpu_seconds=amount,
                event_at=NOON,
                reason="node failed",
                actor="test",
            )
            self.refunded[charge_id] = self.refunded.get(charge_id, 0) + amount

    # --- operators ------------------------------------------------------------------------------------------------

    @rule(which=WHICH, amount=AMOUNTS, kind=st.sampled_from(["return", "clawback", "move"]))
    def withdraw(self, which: int, amount: int, kind: str) -> None:
        target = self.ids[(which + 1) % 3] if kind == "move" else None
        with contextlib.suppress(BalanceTooSmall, WrongState):
            withdrawal_request(
                allocation_id=self.ids[which],
                kind=kind,
                amount_gpu_seconds=amount,
                reason="",
                event_at=NOON,
                actor="test",
                target_id=target,
            )

    @rule(confirm=st.booleans())
    def resolve(self, confirm: bool) -> None:
        for row in Withdrawal.objects.filter(allocation__in=self.ids, state="requested"):
            if confirm:
                withdrawal_confirm(withdrawal_id=row.pk, event_at=NOON, actor="test")
            elif row.kind != "expiry":
                withdrawal_cancel(withdrawal_id=row.pk, reason="", event_at=NOON, actor="test")

    @rule(which=WHICH, verb=st.sampled_from([allocation_suspend, allocation_resume] * 3 + [allocation_close]))
    def state(self, which: int, verb: object) -> None:
        with contextlib.suppress(WrongState):
            verb(allocation_id=self.ids[which], reason="", actor="test")  # type: ignore[operator]

    @rule(which=st.just(2))
    def expire(self, which: int) -> None:
        with contextlib.suppress(WrongState):
            allocation_expire(allocation_id=self.ids[which], actor="test")

    # --- what must hold -------------------------------------------------------------------------------------------

    @invariant()
    def the_figures_add_up(self) -> None:
        balances, limits = allocation_balances(self.ids), allocation_limits(self.ids)
        for pk in self.ids:
            one = balances[pk]
            assert one.granted + one.overrun == one.consumed + one.held + one.remaining + one.expired
            assert min(one.granted, one.overrun, one.consumed, one.held, one.free, one.expired) >= 0
            assert one.held == sum(self.holds[pk].values())
            refunds = sum(self.refunded.get(charge_id, 0) for charge_id in self.charged[pk])
            records = sum(self.charged[pk].values())
            assert one.consumed == records - refunds
            # Slurm counts what ran; what its limit leaves is what is free, or held for jobs that it knows.
            assert limits[pk] - records == one.free + one.held

    @invariant()
    def the_organisation_adds_up_and_equals_the_log(self) -> None:
        one = organisation_balances(self.organisation)["h100"]
        by_the_log = balances_by_the_log(self.organisation)
        assert {field.name: getattr(one, field.name) for field in fields(one)} == {
            field.name: by_the_log["h100", field.name] for field in fields(one)
        }
        assert one.granted == FACE
        assert one.granted + one.overrun == one.consumed + one.held + one.remaining + one.expired

    @invariant()
    def nothing_is_left_to_a_job_of_an_ended_allocation(self) -> None:
        ended = Allocation.objects.filter(pk__in=self.ids, state__in=["expired", "closed"])
        balances = allocation_balances([row.pk for row in ended])
        assert all(one.free == 0 for one in balances.values())


@pytest.mark.django_db
def test_the_figures_add_up_after_any_sequence_of_verbs() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Verbs,
        settings=settings(
            max_examples=500 if os.environ.get("SOAK") else 4,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            phases=[Phase.generate],  # a sequence that fails is short enough to read as it is
        ),
    )
