"""From the pool to the allocation: awards, tranches, imported history, the end of a voucher."""

import re
from datetime import date, timedelta

import pytest

from portal.clock import centre_date, now
from portal.people.models import Project
from quotas.allocations.errors import (
    AllocationNotOpen,
    GPUTypeUnknown,
    PoolTooSmall,
    ProjectOfAnotherOrganisation,
    WrongState,
)
from quotas.allocations.models import Allocation, Tranche, Voucher
from quotas.allocations.selectors import allocation_by_qos, allocations_on_cluster
from quotas.allocations.services import (
    allocation_adopt,
    allocation_resume,
    allocation_suspend,
    ended_expire,
    hold_take,
    imported_grant,
    tranche_lose,
    tranche_release,
    voucher_award,
)
from quotas.ledger.models import Transfer
from quotas.ledger.services import Entry, transfers_book
from quotas.programmes.models import Programme
from quotas.programmes.selectors import pool_balances
from quotas.programmes.services import imported_programme_ensure
from tests.quotas.makers import HOUR, NOON, award, balance, charge, limit, named

pytestmark = pytest.mark.django_db


def pool_free() -> int:
    return sum(row.free_gpu_seconds for row in pool_balances())


def tranched(project: Project, programme: Programme) -> Allocation:
    return voucher_award(
        organisation=project.organisation,
        project=project,
        programme=programme,
        gpu_type="h100",
        amount_gpu_seconds=100 * HOUR,
        cluster="local",
        starts_on=date(2026, 1, 1),
        ends_on=date(2026, 12, 31),
        actor="test",
        tranches=[60 * HOUR, 40 * HOUR],
    )


def imported(project: Project, gpu_seconds: int = 10 * HOUR) -> Allocation:
    return voucher_award(
        organisation=project.organisation,
        project=project,
        programme=imported_programme_ensure(gpu_types=["h100"], actor="test"),
        gpu_type="h100",
        amount_gpu_seconds=gpu_seconds,
        cluster="local",
        starts_on=date(2025, 1, 1),
        ends_on=date(2025, 12, 31),
        actor="test",
        imported=True,
    )


def test_an_award_goes_from_the_pool_through_the_voucher_to_the_allocation(
    project: Project, programme: Programme
) -> None:
    allocation = award(project, programme, gpu_seconds=300 * HOUR)
    assert pool_free() == 700 * HOUR
    assert (allocation.voucher.face_gpu_seconds, balance(allocation).granted) == (300 * HOUR, 300 * HOUR)
    batch = Transfer.objects.get(credit=allocation.account).batch
    assert Transfer.objects.filter(batch=batch).count() == 2


def test_an_award_above_the_pool_makes_nothing_and_says_the_figures(project: Project, programme: Programme) -> None:
    with pytest.raises(PoolTooSmall) as refused:
        award(project, programme, gpu_seconds=1_001 * HOUR)
    assert (refused.value.free_gpu_seconds, refused.value.needed_gpu_seconds) == (1_000 * HOUR, 1_001 * HOUR)
    assert not Voucher.objects.exists()


def test_an_award_of_a_type_that_the_programme_lacks_is_refused(project: Project, programme: Programme) -> None:
    with pytest.raises(GPUTypeUnknown):
        award(project, programme, gpu_type="b200")


def test_an_award_to_another_organisations_project_is_refused(
    project: Project, other_project: Project, programme: Programme
) -> None:
    with pytest.raises(ProjectOfAnotherOrganisation):
        voucher_award(
            organisation=project.organisation,
            project=other_project,
            programme=programme,
            gpu_type="h100",
            amount_gpu_seconds=HOUR,
            cluster="local",
            starts_on=date(2026, 1, 1),
            ends_on=date(2026, 12, 31),
            actor="test",
        )


def test_a_qos_name_is_never_used_twice(project: Project, programme: Programme) -> None:
    first, second = award(project, programme, gpu_seconds=HOUR), award(project, programme, gpu_seconds=HOUR)
    assert re.fullmatch(r"h100-[0-9a-f]{12}", first.qos), "it says nothing of whose it is"
    assert first.qos != second.qos
    assert allocation_by_qos(second.qos) == second
    assert allocation_by_qos("normal") is None


# --- tranches -----------------------------------------------------------------------------------------------------


def test_the_whole_face_value_leaves_the_pools_free_balance_at_once(project: Project, programme: Programme) -> None:
    allocation = tranched(project, programme)
    assert pool_free() == 900 * HOUR
    assert balance(allocation).granted == 0


def test_a_released_tranche_reaches_the_allocation(project: Project, programme: Programme) -> None:
    allocation = tranched(project, programme)
    tranche = Tranche.objects.get(number=1)
    tranche_release(tranche_id=tranche.pk, allocation=allocation, actor="test")
    assert (balance(allocation).free, limit(allocation), pool_free()) == (60 * HOUR, 60 * HOUR, 900 * HOUR)
    with pytest.raises(WrongState):
        tranche_release(tranche_id=tranche.pk, allocation=allocation, actor="test")


def test_a_lost_tranche_returns_to_the_pool(project: Project, programme: Programme) -> None:
    allocation = tranched(project, programme)
    tranche = Tranche.objects.get(number=2)
    tranche_lose(tranche_id=tranche.pk, reason="no report", actor="test")
    assert (balance(allocation).granted, pool_free()) == (0, 940 * HOUR)
    with pytest.raises(WrongState):
        tranche_release(tranche_id=tranche.pk, allocation=allocation, actor="test")


def test_a_tranche_that_was_never_released_returns_when_the_voucher_ends(
    project: Project, programme: Programme
) -> None:
    tranched(project, programme)
    Voucher.objects.update(ends_on=centre_date(now()) - timedelta(days=1), starts_on=date(2020, 1, 1))
    ended_expire(actor="test")
    assert pool_free() == 1_000 * HOUR
    assert set(Tranche.objects.values_list("state", flat=True)) == {"lost"}


# --- imported history ---------------------------------------------------------------------------------------------


def test_imported_history_is_granted_with_what_it_used_and_born_closed(project: Project) -> None:
    allocation = imported(project)
    assert (allocation.state, allocation.imported, allocation.voucher.imported) == ("closed", True, True)
    assert (balance(allocation).granted, pool_free()) == (10 * HOUR, 0)


def test_more_history_grants_more(project: Project) -> None:
    allocation = imported(project)
    imported_grant(allocation=allocation, amount_gpu_seconds=5 * HOUR, actor="test")
    allocation.voucher.refresh_from_db()
    assert (balance(allocation).granted, allocation.voucher.face_gpu_seconds) == (15 * HOUR, 15 * HOUR)


def test_what_imported_history_gives_back_stays_where_it_is(project: Project) -> None:
    allocation = imported(project)
    charge(allocation, "1", 4 * HOUR)
    assert (balance(allocation).free, balance(allocation).withdrawals_pending) == (6 * HOUR, 0)


def test_imported_history_is_wanted_in_slurm_only_after_its_adoption(project: Project) -> None:
    allocation = imported(project)
    assert not allocations_on_cluster("local").exists()
    allocation_adopt(allocation_id=allocation.pk, actor="test")
    assert list(allocations_on_cluster("local")) == [allocation]
    allocation.refresh_from_db()
    adopted_at = allocation.adopted_at
    allocation_adopt(allocation_id=allocation.pk, actor="test")
    allocation.refresh_from_db()
    assert (allocation.state, allocation.adopted_at) == ("closed", adopted_at)


def test_only_imported_history_is_granted_without_a_decision(project: Project, programme: Programme) -> None:
    with pytest.raises(ValueError, match="Imported"):
        voucher_award(
            organisation=project.organisation,
            project=project,
            programme=programme,
            gpu_type="h100",
            amount_gpu_seconds=HOUR,
            cluster="local",
            starts_on=date(2026, 1, 1),
            ends_on=date(2026, 12, 31),
            actor="test",
            imported=True,
        )
    with pytest.raises(ValueError, match="without a decision"):
        imported_grant(allocation=award(project, programme), amount_gpu_seconds=HOUR, actor="test")


# --- states and ends ----------------------------------------------------------------------------------------------


def test_a_state_changes_only_from_where_it_can(allocation: Allocation) -> None:
    with pytest.raises(WrongState):
        allocation_resume(allocation_id=allocation.pk, reason="", actor="test")
    allocation_suspend(allocation_id=allocation.pk, reason="audit", actor="test")
    with pytest.raises(WrongState):
        allocation_suspend(allocation_id=allocation.pk, reason="again", actor="test")
    allocation.refresh_from_db()
    assert (allocation.state, allocation.state_reason) == ("suspended", "audit")


def test_the_day_after_its_last_an_allocation_and_its_voucher_expire(project: Project, programme: Programme) -> None:
    yesterday = centre_date(now()) - timedelta(days=1)
    ended = award(project, programme, ends_on=yesterday, starts_on=yesterday)
    lasting = award(project, programme, ends_on=yesterday + timedelta(days=1), starts_on=yesterday)
    assert ended_expire(actor="test") == 1
    ended.refresh_from_db()
    lasting.refresh_from_db()
    assert (ended.state, lasting.state) == ("expired", "active")
    assert ended_expire(actor="test") == 0


def test_what_an_ended_voucher_never_allocated_expires_too(project: Project, programme: Programme) -> None:
    yesterday = centre_date(now()) - timedelta(days=1)
    ended = award(project, programme, ends_on=yesterday, starts_on=yesterday)
    voucher = ended.voucher
    # As if a return had been confirmed after the end.
    transfers_book(
        entries=[
            Entry.direct(
                id=named("back"),
                debit=ended.account_id,
                credit=voucher.account_id,
                amount=HOUR,
                reason="return",
                event_at=NOON,
            )
        ],
        booked_at=NOON,
        actor="test",
    )
    ended_expire(actor="test")
    assert voucher.expired_account.credits_posted == 0  # as it was read
    voucher.expired_account.refresh_from_db()
    assert voucher.expired_account.credits_posted == HOUR


def test_a_hold_cannot_be_taken_on_imported_history(project: Project) -> None:
    allocation = imported(project)
    with pytest.raises(AllocationNotOpen):
        hold_take(
            allocation_id=allocation.pk,
            hold_id=named("hold"),
            amount_gpu_seconds=1,
            event_at=NOON,
            reason="job",
            actor="test",
        )
