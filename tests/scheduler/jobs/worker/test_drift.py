from dataclasses import replace

import pytest

from portal.clock import now
from scheduler.clusters.adapters.protocol import QueueJob
from scheduler.jobs.worker.drift import Covered, drift_of

HOUR = 3_600
COVERED = Covered(
    user="minh",
    account="sl-a",
    qos="q",
    partition="h100",
    gpu_type="h100",
    gpus=4,
    time_limit_s=HOUR,
    held_gpu_seconds=4 * (HOUR + 60),
)
LINE = QueueJob(
    job_id=7,
    array_job_id=None,
    array_tasks="",
    array_task_count=1,
    het_job_id=None,
    user="minh",
    account="sl-a",
    qos="q",
    partition="h100",
    state="RUNNING",
    reason="",
    comment="",
    name="train",
    submit_at=now(),
    eligible_at=None,
    start_at=now(),
    time_limit_s=HOUR,
    nodes=2,
    gpus={"h100": 4},
    restarts=0,
)


def fields(line: QueueJob, covered: Covered = COVERED) -> tuple[str, ...]:
    drift = drift_of(covered, line, overshoot_s=60)
    return drift.fields if drift else ()


def test_what_was_submitted_does_not_differ():
    assert fields(LINE) == ()


@pytest.mark.parametrize("gpus", [{}, {"gpu": 4}])
def test_a_pending_job_may_not_show_its_gpu_type_yet(gpus):
    assert fields(replace(LINE, state="PENDING", gpus=gpus)) == ()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"gpus": {"h100": 8}}, ("gpus", "hold")),
        ({"gpus": {"h100": 2}}, ("gpus",)),
        ({"time_limit_s": 2 * HOUR}, ("time_limit", "hold")),
        ({"time_limit_s": HOUR // 2}, ("time_limit",)),
        ({"partition": "h200", "gpus": {"h200": 4}}, ("partition", "gpu_type")),
        ({"qos": "other"}, ("qos",)),
        ({"account": "sl-b"}, ("account",)),
        ({"array_job_id": 7, "array_task_count": 9}, ("array",)),
        ({"het_job_id": 7}, ("array",)),
    ],
)
def test_it_names_what_differs(changes, expected):
    assert fields(replace(LINE, **changes)) == expected


def test_a_job_without_a_hold_differs():
    assert fields(LINE, replace(COVERED, held_gpu_seconds=0)) == ("hold",)


def test_what_was_held_anew_does_not_differ_again():
    """Three GPUs on two nodes: no whole number on each, but the hold is right."""
    covered = replace(COVERED, held_gpu_seconds=3 * (HOUR + 60))
    assert fields(replace(LINE, gpus={"h100": 3}), covered) == ()
