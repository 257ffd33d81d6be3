"""Where a run's observed time went, measured by a real Prometheus, and what its GPU-time was awarded for."""

from datetime import date

import pytest

from monitoring.days import Days
from monitoring.rollups.models import PersonDay, RunDay
from monitoring.rollups.purposes import Purpose, purposes_of
from monitoring.rollups.selectors import throughput_by_purpose, throughput_of, throughput_of_project
from portal.people.models import Organisation, User
from quotas.allocations.models import Allocation
from quotas.applications.models import Application
from quotas.reviews.services import decision_confirm, decision_propose
from scheduler.settlement.models import Record
from tests.monitoring.conftest import RunOf
from tests.monitoring.rollups.conftest import Says
from tests.monitoring.rollups.test_rollup import Count, ran
from tests.monitoring.rollups.tsdb import CLOCK_HZ
from tests.quotas.applications.conftest import application, submit  # noqa: F401  the same one

pytestmark = pytest.mark.django_db
JUNE = Days(date(2026, 6, 1), date(2026, 6, 30))
HOUR = 3_600


def test_a_run_that_failed_was_of_no_use(
    organisation: Organisation, allocation: Allocation, run_of: RunOf, says: Says, count: Count
) -> None:
    """Two hours of a GPU that is always busy, half of it with tensor cores; the second run fails, with a gap in it."""
    ran(run_of, says, allocation, "09:40", "10:40", "GPU-whole")
    failed = ran(run_of, says, allocation, "09:40", "10:40", "GPU-gap")
    Record.objects.filter(pk=failed.pk).update(state="FAILED")
    count()
    found = throughput_of(organisation, JUNE).by_type["h100"]
    steps = found.steps_gpu_seconds
    assert sum(steps.values()) == found.allocated_gpu_seconds == 2 * HOUR
    assert sum(found.steps_us.values()) == 2 * HOUR * 10**6
    assert steps["unobserved"] == found.unobserved_gpu_seconds == 165
    assert (steps["idle"], steps["tensor_unread"]) == (0, 0)
    assert steps["useful"] + steps["throttled_lost"] + steps["failed_lost"] == pytest.approx(HOUR - 82, abs=20)
    assert steps["useful"] == pytest.approx(HOUR / 2, abs=20)
    assert steps["failed_lost"] == pytest.approx((HOUR - 165) / 2, abs=20)
    by_run = {row.job_id_raw: row.failed_lost_us for row in RunDay.objects.all()}
    assert by_run[failed.job_id_raw] == sum(by_run.values())
    assert CLOCK_HZ < 1.98e9  # a low clock that no reason held down is no loss
    assert throughput_of_project(allocation.project, JUNE).by_type["h100"].sums == found.sums


def test_gpu_time_is_counted_for_what_it_was_awarded_for(
    application: Application,  # noqa: F811
    operator: User,
    second_operator: User,
    run_of: RunOf,
    says: Says,
    count: Count,
) -> None:
    Application.objects.filter(pk=application.pk).update(sector="health", product_group="assistant")
    decision = decision_confirm(
        person=second_operator,
        decision=decision_propose(
            person=operator,
            application=application,
            outcome="award",
            awarded_gpu_hours=400,
            cluster="local",
            reason="Đúng sản phẩm ưu tiên.",
        ),
    )
    assert decision.allocation is not None
    ran(run_of, says, decision.allocation, "09:40", "10:40", "GPU-whole")
    count()
    row = PersonDay.objects.get()
    assert (row.sector, row.product_group) == ("health", "assistant")
    assert throughput_by_purpose(JUNE, "sector")["health"]["h100"].allocated_gpu_seconds == HOUR
    assert purposes_of([decision.allocation.voucher_id]) == {
        decision.allocation.voucher_id: Purpose("health", "assistant")
    }
