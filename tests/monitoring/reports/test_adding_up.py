"""granted + overrun = consumed + held + remaining + expired, and what ran adds up to what was consumed: after any
sequence of runs, holds, refunds, returns and expiries.
"""

import contextlib
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitoring.days import Days
from monitoring.reports.selectors import Usage, usage_report
from portal.clock import now
from quotas.allocations.errors import QuotaError
from quotas.allocations.models import Allocation
from quotas.allocations.services import (
    allocation_expire,
    hold_take,
    refund_book,
    withdrawal_confirm,
    withdrawal_request,
)
from quotas.programmes.models import Programme
from scheduler.clusters.models import Cluster
from tests import factories
from tests.monitoring.conftest import RunOf
from tests.quotas import makers

BEGIN = datetime(2026, 5, 20, tzinfo=UTC)
EVER = Days(date(2026, 5, 1), date(2026, 8, 31))
JUNE = Days(date(2026, 6, 1), date(2026, 6, 30))
AMOUNTS = st.integers(1, 40_000)
STEPS = st.one_of(
    st.tuples(
        st.just("run"), st.integers(0, 1), st.integers(0, 60 * 86_400), st.integers(1, 300_000), st.integers(1, 8)
    ),
    st.tuples(st.just("hold"), st.integers(0, 1), AMOUNTS),
    st.tuples(st.just("refund"), st.integers(0, 1), AMOUNTS),
    st.tuples(st.just("return"), st.integers(0, 1), AMOUNTS, st.booleans()),
    st.tuples(st.just("expire"), st.integers(0, 1)),
)


class Centre:
    """An organisation with an allocation of each of two types, and the steps on them."""

    number = 0

    def __init__(self, programme: Programme, run_of: RunOf) -> None:
        Centre.number += 1
        self.run_of = run_of
        self.organisation = factories.organisation(f"Tổ chức {self.number}", f"to-chuc-{self.number}")
        project = factories.project("Dự án", f"du-an-{self.number}", of=self.organisation)
        self.allocations = [
            makers.award(project, programme, gpu_seconds=100_000, gpu_type=gpu_type) for gpu_type in ("h100", "h200")
        ]
        self.charges: dict[int, UUID] = {}

    def run(self, allocation: Allocation, start_s: int, length_s: int, gpus: int) -> None:
        started_at = BEGIN + timedelta(seconds=start_s)
        started, ended = (f"{moment:%Y-%m-%d %H:%M:%S}" for moment in (started_at, started_at + timedelta(0, length_s)))
        self.charges[allocation.pk] = self.run_of(allocation, started, ended, gpus=gpus).charge

    def hold(self, allocation: Allocation, amount: int) -> None:
        hold_take(
            allocation_id=allocation.pk,
            hold_id=uuid4(),
            amount_gpu_seconds=amount,
            event_at=now(),
            reason="",
            actor="test",
        )

    def refund(self, allocation: Allocation, amount: int) -> None:
        refund_book(
            allocation_id=allocation.pk,
            record_charge_id=self.charges.get(allocation.pk, UUID(int=0)),
            refund_id=uuid4(),
            amount_gpu_seconds=amount,
            event_at=now(),
            reason="a node failed",
            actor="test",
        )

    def return_(self, allocation: Allocation, amount: int, confirmed: bool) -> None:
        rows = withdrawal_request(
            allocation_id=allocation.pk,
            kind="return",
            amount_gpu_seconds=amount,
            reason="",
            event_at=now(),
            actor="test",
        )
        for row in rows if confirmed else []:
            withdrawal_confirm(withdrawal_id=row.pk, event_at=now(), actor="test")

    def expire(self, allocation: Allocation) -> None:
        allocation_expire(allocation_id=allocation.pk, actor="test")


def adds_up(usage: Usage) -> None:
    for lines in (
        usage.by_cluster.values(),
        usage.by_project.values(),
        usage.by_person.values(),
        usage.by_day.values(),
    ):
        for gpu_type in ("h100", "h200"):
            assert sum(line.amounts[gpu_type] for line in lines) == usage.total.amounts[gpu_type]


@pytest.mark.django_db
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=10))
def test_a_report_adds_up_whatever_happened(
    cluster: Cluster, programme: Programme, run_of: RunOf, steps: list[tuple[object, ...]]
) -> None:
    centre = Centre(programme, run_of)
    verbs = {"run": centre.run, "hold": centre.hold, "refund": centre.refund, "return": centre.return_}
    verbs["expire"] = centre.expire
    for verb, which, *rest in steps:
        with contextlib.suppress(QuotaError):  # refused steps change nothing
            verbs[str(verb)](centre.allocations[int(str(which))], *rest)  # type: ignore[arg-type]
    usage = usage_report(centre.organisation, EVER)
    for gpu_type, balance in usage.balances.items():
        assert (
            balance.granted + balance.overrun == balance.consumed + balance.held + balance.remaining + balance.expired
        )
        assert balance.granted == 100_000
        assert usage.total.amounts[gpu_type] == balance.consumed
    adds_up(usage)
    adds_up(usage_report(centre.organisation, JUNE))
