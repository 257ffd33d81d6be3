"""Explicit makers for quotas: a programme, an award, a job's life in GPU-seconds. All through the services."""

from datetime import UTC, date, datetime
from uuid import UUID, uuid5

from portal.people.models import Project
from quotas.allocations.models import Allocation
from quotas.allocations.selectors import AllocationBalance, allocation_balances, allocation_limits
from quotas.allocations.services import (
    BookedCharge,
    Charge,
    allocation_create,
    allocation_suspend,
    charges_book,
    hold_take,
    voucher_award,
)
from quotas.ledger.models import Transfer
from quotas.programmes.models import Programme
from quotas.programmes.services import programme_create

HOUR = 3_600
NOON = datetime(2026, 6, 1, 5, 0, tzinfo=UTC)  # 12:00 in Ho Chi Minh City
STARTS, ENDS = date(2026, 1, 1), date(2099, 12, 31)
_NAMES = UUID("7d9c6a52-4c8f-4f7f-9d0e-0f5a3c1b2e11")


def named(name: str) -> UUID:
    """The same id for the same name, so that a test can say "the hold of job 1"."""
    return uuid5(_NAMES, name)


def programme(slug: str = "natif-2026", *, h100_hours: int = 1_000, h200_hours: int = 0) -> Programme:
    budgets = {"h100": h100_hours * HOUR, "h200": h200_hours * HOUR}
    return programme_create(
        name=f"Programme {slug}",
        slug=slug,
        starts_on=STARTS,
        ends_on=ENDS,
        budgets={gpu_type: amount for gpu_type, amount in budgets.items() if amount},
        actor="test",
    )


def award(
    project: Project,
    of: Programme,
    *,
    gpu_seconds: int = 100 * HOUR,
    gpu_type: str = "h100",
    cluster: str = "local",
    starts_on: date = STARTS,
    ends_on: date = ENDS,
) -> Allocation:
    return voucher_award(
        organisation=project.organisation,
        project=project,
        programme=of,
        gpu_type=gpu_type,
        amount_gpu_seconds=gpu_seconds,
        cluster=cluster,
        starts_on=starts_on,
        ends_on=ends_on,
        actor="test",
    )


def second_allocation(first: Allocation, *, gpu_seconds: int) -> Allocation:
    """Another allocation of the same voucher, from what the voucher still holds."""
    return allocation_create(
        voucher=first.voucher,
        project=first.project,
        cluster=first.cluster,
        amount_gpu_seconds=gpu_seconds,
        starts_on=first.starts_on,
        ends_on=first.ends_on,
        actor="test",
    )


def hold(allocation: Allocation, name: str, gpu_seconds: int, *, at: datetime = NOON) -> UUID:
    hold_id = named(f"hold {name}")
    hold_take(
        allocation_id=allocation.pk,
        hold_id=hold_id,
        amount_gpu_seconds=gpu_seconds,
        event_at=at,
        reason=f"job {name}",
        actor="test",
    )
    return hold_id


def charge_of(
    allocation: Allocation,
    name: str,
    gpu_seconds: int,
    *,
    hold_id: UUID | None = None,
    next_hold: tuple[UUID, int] | None = None,
) -> Charge:
    return Charge(
        charge_id=named(f"charge {name}"),
        allocation_id=allocation.pk,
        gpu_seconds=gpu_seconds,
        hold_id=hold_id,
        event_at=NOON,
        reason=f"job {name}",
        next_hold=next_hold,
    )


def charge(
    allocation: Allocation,
    name: str,
    gpu_seconds: int,
    *,
    hold_id: UUID | None = None,
    next_hold: tuple[UUID, int] | None = None,
) -> BookedCharge:
    one = charge_of(allocation, name, gpu_seconds, hold_id=hold_id, next_hold=next_hold)
    return charges_book(charges=[one], actor="test")[0]


def balance(allocation: Allocation) -> AllocationBalance:
    return allocation_balances([allocation.pk])[allocation.pk]


def limit(allocation: Allocation) -> int:
    return allocation_limits([allocation.pk])[allocation.pk]


def transfers() -> int:
    return Transfer.objects.count()


def suspend(allocation: Allocation) -> None:
    allocation_suspend(allocation_id=allocation.pk, reason="audit", actor="test")
