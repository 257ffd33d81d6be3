"""Minutes of a QOS from the ledger's limit and slurmctld's counter."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from scheduler.accounts.limits import Limit, Running, limit, running_by_qos
from scheduler.clusters.adapters.limits import QosUsage
from scheduler.clusters.adapters.protocol import QueueJob

NOON = datetime(2026, 6, 1, 5, 0, tzinfo=UTC)


NOTHING = Running()


def of(
    *, settled: int, counted: int | None, running: Running = NOTHING, previous: int = 0, granted: int = 6_000
) -> Limit:
    return limit(
        limit_gpu_seconds=granted,
        settled_gpu_seconds=settled,
        running=running,
        usage=None if counted is None else QosUsage("q", counted, 100, counted // 60),
        priority_calc_period_s=60,
        previous_gap_gpu_seconds=previous,
    )


def test_minutes_are_rounded_down_and_never_negative() -> None:
    assert of(settled=0, counted=0, granted=6_059).minutes == 100
    assert of(settled=0, counted=0, granted=59).minutes == 0
    assert of(settled=9_000, counted=0).minutes == 0


def test_a_counter_that_agrees_takes_nothing() -> None:
    found = of(settled=1_500, counted=1_500)
    assert (found.minutes, found.counter_gap_gpu_seconds) == (100, 0)


def test_a_counter_that_lost_something_lowers_the_limit_by_it() -> None:
    found = of(settled=1_500, counted=300)
    assert (found.minutes, found.counter_gap_gpu_seconds) == (80, 1_200)


def test_suspended_time_is_in_the_counter_and_in_nobodys_account() -> None:
    found = limit(
        limit_gpu_seconds=6_000,
        settled_gpu_seconds=1_500,
        running=NOTHING,
        usage=QosUsage("q", 2_100, 100, 35),
        priority_calc_period_s=60,
        uncharged_gpu_seconds=600,
    )
    assert (found.minutes, found.counter_gap_gpu_seconds) == (110, 0)
    assert found.minutes * 60 - 2_100 == 6_000 - 1_500


def test_a_counter_without_suspended_time_raises_no_limit() -> None:
    found = limit(
        limit_gpu_seconds=6_000,
        settled_gpu_seconds=1_500,
        running=NOTHING,
        usage=QosUsage("q", 1_500, 100, 25),
        priority_calc_period_s=60,
        uncharged_gpu_seconds=600,
    )
    assert (found.minutes, found.counter_gap_gpu_seconds) == (100, 600)


def test_a_counter_that_is_ahead_gives_nothing_back() -> None:
    assert of(settled=300, counted=1_500).minutes == 100  # a job ended that settlement has not charged yet


@pytest.mark.parametrize("lag", [0, 1, 240, 300])
def test_running_jobs_may_be_behind_by_a_period(lag: int) -> None:
    running = Running(gpus=4, gpu_seconds=1_000)
    assert of(settled=500, counted=1_500 - lag, running=running).counter_gap_gpu_seconds == 0


def test_more_than_running_jobs_explain_is_a_gap() -> None:
    running = Running(gpus=4, gpu_seconds=1_000)
    assert of(settled=500, counted=1_500 - 301, running=running).counter_gap_gpu_seconds == 301


def test_a_known_gap_stays_while_jobs_run_and_settles_when_they_end() -> None:
    running = Running(gpus=4, gpu_seconds=1_000)
    # 1,000 were lost; the counter lags behind the running job by 100 more, then by 200.
    assert of(settled=1_500, counted=1_400, running=running, previous=1_000).counter_gap_gpu_seconds == 1_000
    assert of(settled=1_500, counted=1_300, running=running, previous=1_000).counter_gap_gpu_seconds == 1_000
    assert of(settled=2_500, counted=1_500, previous=1_050).counter_gap_gpu_seconds == 1_000
    assert of(settled=1_500, counted=1_500, previous=1_000).counter_gap_gpu_seconds == 0


def test_without_a_counter_all_that_was_used_is_missing_from_it() -> None:
    found = of(settled=1_500, counted=None)
    assert (found.minutes, found.usage_raw_gpu_seconds) == (75, None)


def test_running_jobs_count_their_gpus_and_seconds_by_qos() -> None:
    job = QueueJob(
        job_id=1,
        array_job_id=None,
        array_tasks="",
        array_task_count=1,
        het_job_id=None,
        user="minh",
        account="a",
        qos="q1",
        partition="h100",
        state="RUNNING",
        reason="",
        comment="",
        name="",
        submit_at=NOON,
        eligible_at=NOON,
        start_at=NOON,
        time_limit_s=600,
        nodes=1,
        gpus={"h100": 2},
        restarts=0,
    )
    jobs = [
        job,
        replace(job, job_id=2, gpus={"gpu": 3}, start_at=NOON + timedelta(seconds=50)),
        replace(job, job_id=3, qos="q2"),
        replace(job, job_id=4, state="PENDING"),
        replace(job, job_id=5, start_at=NOON + timedelta(hours=1)),  # its clock is ahead of ours
    ]
    found = running_by_qos(jobs, NOON + timedelta(seconds=60))
    assert found == {"q1": Running(7, 2 * 60 + 3 * 10), "q2": Running(2, 120)}
