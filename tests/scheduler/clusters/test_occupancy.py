"""What a look at a cluster becomes: GPUs by state and type, shares, when some become free. Numbers by hand."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.clusters.adapters import parse
from scheduler.clusters.adapters.protocol import NodeInfo, PartitionInfo, QueueJob
from scheduler.clusters.occupancy import HORIZONS_S, Occupancy, node_class, occupancy_of

NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
HOUR = 3600
PARTITIONS = [PartitionInfo("h100", True, "h100", 2, 8, 0, 0), PartitionInfo("cpu", True, "", 1, 0, 0, 0)]


def node(name: str = "gpu001", state: str = "IDLE", gpus: int = 8, used: int = 0) -> NodeInfo:
    return NodeInfo(name, state, "", ("h100",), {"h100": gpus}, {"h100": used} if used else {})


def job(number: int = 1, **changes: object) -> QueueJob:
    facts: dict[str, object] = {
        "job_id": number,
        "array_job_id": None,
        "array_tasks": "",
        "array_task_count": 1,
        "het_job_id": None,
        "user": "minh",
        "account": "sl-a",
        "qos": "q",
        "partition": "h100",
        "state": "RUNNING",
        "reason": "",
        "comment": "",
        "name": "x",
        "submit_at": NOON,
        "eligible_at": NOON,
        "start_at": NOON - timedelta(hours=1),
        "time_limit_s": 2 * HOUR,
        "nodes": 1,
        "gpus": {"h100": 8},
        "restarts": 0,
    }
    return QueueJob(**(facts | changes))  # type: ignore[arg-type]


def seen(nodes: list[NodeInfo], *queue: QueueJob) -> Occupancy:
    return occupancy_of(nodes, PARTITIONS, queue, seen_at=NOON)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("IDLE", "idle"),
        ("IDLE+PLANNED", "idle"),
        ("MIXED", "mixed"),
        ("ALLOCATED", "allocated"),
        ("ALLOCATED+COMPLETING", "allocated"),
        ("IDLE+DRAIN", "drained"),
        ("MIXED+DRAIN", "draining"),
        ("IDLE+COMPLETING+DRAIN", "draining"),
        ("DOWN", "down"),
        ("DOWN*+NOT_RESPONDING", "down"),
        ("IDLE*", "down"),
        ("IDLE+NOT_RESPONDING", "down"),
        ("IDLE+CLOUD+POWERED_DOWN", "down"),
        ("IDLE+MAINTENANCE+RESERVED", "reserved"),
        ("UNKNOWN*", "down"),
        ("SOMETHING_NEW", "down"),
    ],
)
def test_a_node_is_one_thing_to_whoever_wants_a_gpu(state: str, kind: str) -> None:
    assert node_class(state) == kind


def test_gpus_are_in_use_free_or_out_of_service() -> None:
    nodes = [node("a", "MIXED", used=3), node("b", "MIXED+DRAIN", used=2), node("c", "DOWN"), node("d")]
    count = seen(nodes).gpus["h100"]
    assert (count.total, count.allocated, count.out, count.free) == (32, 5, 14, 13)
    assert seen(nodes).nodes == {"mixed": 1, "draining": 1, "down": 1, "idle": 1}


def test_running_jobs_give_their_gpus_back_at_their_limits() -> None:
    soon, later, unlimited = job(1), job(2, time_limit_s=6 * HOUR, gpus={"h100": 4}), job(3, time_limit_s=None)
    assert seen([], soon, later, unlimited).releases == {"h100": [8, 8, 12, 12, 12]}
    assert HORIZONS_S[0] == HOUR  # the first job has an hour left, to the second


def test_times_are_slurmctlds_and_its_clock_may_differ() -> None:
    ahead_s = 20 * 60  # its clock shows 12:20
    running = job(1, start_at=NOON - timedelta(minutes=40))  # has run for an hour, and has one left
    waiting = job(2, state="PENDING", start_at=NOON + timedelta(minutes=80))
    found = occupancy_of([], PARTITIONS, [running, waiting], seen_at=NOON, clock_ahead_s=ahead_s)
    assert found.releases == {"h100": [8, 8, 8, 8, 8]}
    assert [datetime.fromisoformat(start.start_at) for start in found.starts] == [NOON + timedelta(hours=1)]
    assert seen([], running).releases["h100"][0] == 0  # as it would look by the portal's clock


def test_an_account_has_its_running_and_waiting_jobs_a_task_of_an_array_each() -> None:
    waiting = job(2, state="PENDING", start_at=None, array_task_count=50, gpus={"gpu": 2})
    share = seen([], job(1), waiting, job(3, account="sl-b", partition="cpu", gpus={})).accounts
    assert (share["sl-a"].running_jobs, share["sl-a"].running_gpus) == (1, {"h100": 8})
    # GPUs of no type are those of the partition.
    assert (share["sl-a"].pending_jobs, share["sl-a"].pending_gpus) == (50, {"h100": 100})
    assert (share["sl-b"].running_jobs, share["sl-b"].running_gpus.total()) == (1, 0)


def test_planned_starts_come_soonest_first_and_estimates_that_are_missing_not_at_all() -> None:
    def planned(number: int, minutes: int | None) -> QueueJob:
        at = None if minutes is None else NOON + timedelta(minutes=minutes)
        return job(number, state="PENDING", start_at=at)

    starts = seen([], planned(1, 30), planned(2, 5), planned(3, None)).starts
    assert [(start.job_id, start.gpus, start.gpu_type) for start in starts] == [(2, 8, "h100"), (1, 8, "h100")]


def test_it_is_stored_and_read_back_as_it_was() -> None:
    found = seen([node(used=8), node("b", "DOWN")], job(1), job(2, state="PENDING", start_at=NOON))
    assert Occupancy.of_json(found.as_json()) == found
    assert Occupancy.of_json({}) == Occupancy()


RECORDED = Path(__file__).parent / "recorded"


def test_what_slurm_really_prints_adds_up() -> None:
    nodes = parse.nodes((RECORDED / "nodes.txt").read_text())
    found = occupancy_of(nodes, PARTITIONS, [], seen_at=NOON)
    assert sum(found.nodes.values()) == len(nodes)
    assert sum(count.total for count in found.gpus.values()) == sum(sum(row.gpus.values()) for row in nodes)
    assert found.nodes["drained"] == 1


STATES = st.sampled_from(["IDLE", "MIXED", "ALLOCATED", "IDLE+DRAIN", "MIXED+DRAIN", "DOWN*", "NEW+THING"])
NODES = st.lists(st.builds(node, state=STATES, gpus=st.integers(0, 16), used=st.integers(0, 20)), max_size=8)


@given(NODES, st.lists(st.builds(job, st.integers(1, 9), time_limit_s=st.integers(0, 10**6)), max_size=8))
def test_no_gpu_is_counted_twice_or_lost(nodes: list[NodeInfo], queue: list[QueueJob]) -> None:
    found = seen(nodes, *queue)
    for count in found.gpus.values():
        assert count.total == count.allocated + count.out + count.free
    for given_back in found.releases.values():
        assert given_back == sorted(given_back)
    assert sum(share.running_gpus.total() for share in found.accounts.values()) == 8 * len(queue)
