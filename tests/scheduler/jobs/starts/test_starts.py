"""When a shape would start: which are asked for, how often, and what is said. The real sbatch: test_real_starts.py."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.cache import caches
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from redis.exceptions import ConnectionError as RedisAway

from portal.clock import now
from portal.locks import LockSpace
from quotas.allocations.models import Allocation
from scheduler.clusters.adapters.protocol import SubmissionRefused
from scheduler.clusters.models import GpuSlice, Partition, Snapshot
from scheduler.jobs.models import Job
from scheduler.jobs.starts import asking, tasks
from scheduler.jobs.starts.asking import ASKS_A_MINUTE, Question
from tests.quotas import makers
from tests.quotas.makers import HOUR

pytestmark = pytest.mark.django_db
ADDRESS = "/jobs/new/starts/"
Asked = list[tuple[str, list[dict]]]


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    caches["redis"].clear()


@pytest.fixture
def asked(monkeypatch) -> Asked:
    """What the web left on the clusters' queues."""
    found: Asked = []

    def send(*, args, queue, **_how) -> None:
        assert queue == f"cluster.{args[0]}"
        found.append((args[0], args[1]))

    monkeypatch.setattr(tasks.starts_answer, "apply_async", send)
    return found


@pytest.fixture
def work(asked, slurm) -> Callable[[], int]:
    """The cluster's worker answers what was asked; returns how many shapes that were."""

    def answer() -> int:
        before = len(slurm.estimated)
        while asked:
            cluster, questions = asked.pop(0)
            asking.answer(cluster, [Question(**one) for one in questions], adapter=slurm)
        return len(slurm.estimated) - before

    return answer


@pytest.fixture
def window(client_of, submitter):
    client = client_of(submitter)
    client.cookies["django_language"] = "en"
    return client


def shape(allocation: Allocation, **changes: object) -> dict[str, object]:
    return {"allocation": allocation.pk, "nodes": 1, "gpus_per_node": 4, "time_limit": "12h", **changes}


def h200_award(allocation: Allocation) -> Allocation:
    programme = makers.programme("h200", h200_hours=1_000)
    return makers.award(allocation.project, programme, gpu_type="h200", gpu_seconds=1_000 * HOUR)


def rows(page) -> list[tuple[int, int, int, str, str]]:
    return [
        (row.shape.nodes, row.shape.gpus_per_node, row.shape.time_limit_s // HOUR, row.partition, row.state)
        for row in page.context["starts"].rows
    ]


def test_the_chosen_shape_and_three_others_are_asked_for_and_come_with_a_later_look(window, allocation, slurm, work):
    h200_award(allocation)
    data = shape(allocation)
    page = window.post(ADDRESS, data)
    shapes = [(1, 4, 12, "h100"), (1, 2, 12, "h100"), (1, 4, 6, "h100"), (1, 4, 12, "h200")]
    assert rows(page) == [(*one, "asked") for one in shapes]
    assert "load delay:1s" in page.content.decode()
    start = now() + timedelta(hours=3)
    slurm.starts = {
        ("h100", 1, 4, 12 * HOUR): start,
        ("h100", 1, 2, 12 * HOUR): now(),
        ("h200", 1, 4, 12 * HOUR): SubmissionRefused("qos_limit", "Job violates accounting/QOS policy"),
    }
    assert work() == 4
    assert {one.unix_account for one in slurm.estimated} == {"minh"}
    assert {one.qos for one in slurm.estimated} == set(Allocation.objects.values_list("qos", flat=True))
    page = window.post(ADDRESS, data)
    assert [row[-1] for row in rows(page)] == ["later", "at_once", "silent", "refused"]
    text = page.content.decode()
    assert "in 3 h" in text
    assert "Slurm does not say" in text
    assert "Slurm's estimate, made at" in text
    assert "Job violates accounting/QOS policy" in text
    assert "hx-trigger" not in text  # it is known, and not asked for again
    assert 'value="gpus_per_node=2"' in text


def test_an_answer_serves_for_a_minute_and_whoever_types_on_asks_for_what_is_new(window, allocation, work, clock):
    window.post(ADDRESS, shape(allocation))
    assert work() == 3
    for _ in range(5):
        window.post(ADDRESS, shape(allocation))
    assert work() == 0
    window.post(ADDRESS, shape(allocation, gpus_per_node=2))  # its two others are new, it is not
    assert work() == 2
    clock.shift(timedelta(seconds=61))
    window.post(ADDRESS, shape(allocation))
    assert work() == 3


def test_a_person_asks_so_often_a_minute(window, allocation, asked, work, clock):
    for hours in range(1, ASKS_A_MINUTE + 3):
        page = window.post(ADDRESS, shape(allocation, gpus_per_node=1, time_limit=f"{2 * hours}h"))
    assert len(asked) == ASKS_A_MINUTE
    assert "You have asked often within a minute." in page.content.decode()
    assert "load delay:10s" in page.content.decode()
    work()
    clock.shift(timedelta(seconds=61))
    window.post(ADDRESS, shape(allocation, gpus_per_node=1, time_limit=f"{2 * hours}h"))
    assert work() == 2


def test_the_times_are_slurmctlds_and_its_clock_may_differ(window, allocation, slurm, work):
    slurm.clock_ahead = timedelta(minutes=30)
    slurm.starts_else = now() + timedelta(hours=2, minutes=30)
    window.post(ADDRESS, shape(allocation))
    work()
    assert "in 2 h" in window.post(ADDRESS, shape(allocation)).content.decode()


def test_a_cluster_that_is_away_is_said_and_asked_rarely(window, allocation, slurm, work, asked, clock):
    slurm.away = True
    window.post(ADDRESS, shape(allocation))
    work()
    page = window.post(ADDRESS, shape(allocation))
    assert {row[-1] for row in rows(page)} == {"away"}
    clock.shift(timedelta(seconds=20))
    window.post(ADDRESS, shape(allocation))
    assert asked == []


def test_without_redis_the_form_stays_usable(window, allocation, monkeypatch):
    def away(*_args, **_how):
        raise RedisAway

    monkeypatch.setattr(type(caches["redis"]), "get", away)
    page = window.post(ADDRESS, shape(allocation))
    assert "The cluster cannot be asked at the moment." in page.content.decode()
    assert "load delay" not in page.content.decode()


@pytest.mark.parametrize(
    ("changes", "others"),
    [
        ({"nodes": 2, "gpus_per_node": 8, "time_limit": "4h"}, [(1, 8, 4), (2, 8, 2)]),
        ({"gpus_per_node": 1, "time_limit": "15m"}, []),
        ({"gpus_per_node": 16}, [(1, 8, 12)]),  # does not fit, and half of it does
    ],
)
def test_other_shapes_are_smaller_and_fit(window, allocation, asked, changes, others):
    found = rows(window.post(ADDRESS, shape(allocation, **changes)))
    assert [row[:3] for row in found[1:]] == others
    assert found[0][-1] == ("unfit" if changes.get("gpus_per_node") == 16 else "asked")


def test_another_partition_of_the_same_type_is_an_other_shape(window, allocation, cluster, asked):
    Partition.objects.create(
        cluster=cluster, name="night", gpu_type="h100", nodes=1, gpus_per_node=8, max_time_s=24 * HOUR, read_at=now()
    )
    # Neither is another place for the same: CPUs alone, and slices.
    GpuSlice.objects.create(gpu_type="h100_1g.10gb", parent="h100", parts=1, whole=7, created_at=now())
    for name, gpu_type, gpus in (("cpu", "", 0), ("h100-1g", "h100_1g.10gb", 14)):
        Partition.objects.create(
            cluster=cluster, name=name, gpu_type=gpu_type, nodes=1, gpus_per_node=gpus, max_time_s=HOUR, read_at=now()
        )
    page = window.post(ADDRESS, shape(allocation, gpus_per_node=1, time_limit="15m"))
    assert [row[3] for row in rows(page)] == ["h100", "night"]


def test_a_form_that_is_not_filled_in_asks_nothing(window, allocation, asked):
    for changes in ({"time_limit": ""}, {"allocation": ""}, {"allocation": 10**17}, {"nodes": "x"}):
        page = window.post(ADDRESS, shape(allocation) | changes)
        assert (page.status_code, page.content.strip(), asked) == (200, b"", [])


def test_nobody_asks_for_ever(window, allocation, asked):
    page = window.post(ADDRESS, shape(allocation, looks="30"))
    assert "no answer yet" in page.content.decode()
    assert "load delay" not in page.content.decode()


def test_a_look_asks_the_database_little(window, allocation, work):
    h200_award(allocation)
    window.post(ADDRESS, shape(allocation))
    work()
    with CaptureQueriesContext(connection) as queries:
        window.post(ADDRESS, shape(allocation))
    assert len(queries) <= 21, [query["sql"][:80] for query in queries]  # the form's own, and the facts of two places


def test_the_worker_asks_for_nobody_elses_allocation(allocation, other_researcher, submitter, slurm):
    for person in (other_researcher, submitter):
        question = Question(person.pk, allocation.pk, "h100", 1, 1, HOUR)
        asking.answer("local", [question], adapter=slurm)
    assert [one.unix_account for one in slurm.estimated] == ["minh"]


@pytest.mark.django_db(transaction=True)
def test_slurm_is_asked_for_one_person_at_a_time(cluster, allocation, submitter, slurm):
    question = Question(submitter.pk, allocation.pk, "h100", 1, 1, HOUR)
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s, %s)", [LockSpace.STARTS, cluster.pk])
        asking.answer("local", [question], adapter=slurm)
        assert slurm.estimated == []
    finally:
        other.close()
    asking.answer("local", [question], adapter=slurm)
    assert len(slurm.estimated) == 1


def test_a_waiting_job_shows_what_slurm_has_planned(window, cluster, job):
    Job.objects.filter(pk=job.pk).update(
        state="pending", slurm_job_id=71, slurm_submit_at=now(), bound_at=now(), reason="Resources"
    )
    address = reverse("jobs:job", args=[job.pk])
    assert "Starts in about" not in window.get(address).content.decode()
    start = {"job_id": 71, "account": "a", "gpu_type": "h100", "gpus": 2}
    at = now() + timedelta(minutes=89, seconds=30)
    snapshot = Snapshot.objects.create(
        cluster=cluster,
        taken_at=now(),
        reachable=True,
        occupancy={
            "starts": [start | {"job_id": 70, "start_at": now().isoformat()}, start | {"start_at": at.isoformat()}]
        },
    )
    text = window.get(address).content.decode()
    assert "Starts in about 1 h 30 min" in text
    assert "Slurm's estimate as of" in text
    snapshot.occupancy["starts"][1]["start_at"] = (now() - timedelta(minutes=1)).isoformat()
    snapshot.save()
    assert "Starts in about" not in window.get(address).content.decode()  # a plan that has not come true


def test_taking_another_shape_changes_the_form(window, allocation):
    other = h200_award(allocation)
    data = shape(allocation, name="x", script="#!/bin/bash\ntrue\n", partition="h100", fix=f"allocation={other.pk}")
    form = window.post("/jobs/new/", data).context["form"]
    assert (form.initial["allocation"], form.initial["partition"]) == (str(other.pk), "")
