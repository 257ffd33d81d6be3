"""The portal chooses the allocation on which a job would start first, says why, once, and never moves the job."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation

from portal.clock import now
from portal.people.models import User
from quotas.allocations.models import Allocation
from scheduler.clusters.adapters.protocol import NodeInfo, PartitionInfo, SubmissionRefused
from scheduler.clusters.models import Cluster, Partition, Snapshot
from scheduler.clusters.occupancy import occupancy_of
from scheduler.jobs.choosing import Group, choose, group_chosen, groups_offered, outlook_of
from scheduler.jobs.models import Job, UnixAccountSeen
from scheduler.jobs.preflight import Shape
from scheduler.jobs.selectors import submission_choices
from scheduler.jobs.worker import submission
from tests.quotas import makers
from tests.scheduler.clusters.test_occupancy import job as line
from tests.scheduler.jobs.fake import FakeSlurm
from tests.scheduler.jobs.makers import SCRIPT

pytestmark = pytest.mark.django_db
HOUR = makers.HOUR
PARTITIONS = [PartitionInfo("h100", True, "h100", 2, 8, 0, 0)]


def look(cluster: Cluster, used: list[int], *queue: Any, **changes: Any) -> Snapshot:
    """As the cluster's worker saw it: nodes of eight GPUs, of which so many are used."""
    seen_at = now()
    nodes = [
        NodeInfo(f"n{number}", "IDLE" if not count else "MIXED", "", ("h100",), {"h100": 8}, {"h100": count})
        for number, count in enumerate(used)
    ]
    facts = {"taken_at": seen_at, "reachable": True} | changes
    facts["occupancy"] = occupancy_of(nodes, PARTITIONS, queue, seen_at=seen_at).as_json()
    return Snapshot.objects.update_or_create(cluster=cluster, defaults=facts)[0]


def running(hours: float, gpus: int = 8) -> Any:
    """A job that has so long to go."""
    return line(start_at=now(), time_limit_s=int(hours * HOUR), gpus={"h100": gpus})


def waiting(gpus: int = 8) -> Any:
    return line(2, state="PENDING", start_at=None, gpus={"h100": gpus})


@pytest.fixture
def south(cluster: Cluster, submitter: User) -> Cluster:
    found = Cluster.objects.create(name="south", title="Trung tâm 2", created_at=now())
    Partition.objects.create(
        cluster=found, name="gpu", gpu_type="h100", nodes=2, gpus_per_node=8, max_time_s=48 * HOUR, read_at=now()
    )
    UnixAccountSeen.objects.create(cluster=found, name="minh", exists=True, checked_at=now())
    return found


@pytest.fixture
def there(allocation: Allocation, south: Cluster) -> Allocation:
    """A second allocation of the project, of the same GPU type, on the other cluster."""
    return makers.award(allocation.project, allocation.voucher.programme, cluster="south")


@pytest.mark.parametrize(
    ("used", "queue", "said"),
    [
        ([0, 0], [], ("free", 16, 0)),
        ([4, 4], [], ("far", 8, 0)),  # eight are free, but not on one node
        ([0, 8], [waiting()], ("crowded", 8, 8)),
        ([8, 8], [running(3), running(0.5)], ("later", 0, 0)),
        ([8, 8], [running(3), running(0.5), waiting()], ("later", 0, 8)),
        ([8, 8], [running(100)], ("far", 0, 0)),
    ],
)
def test_an_outlook_is_reckoned_by_nodes_and_by_what_comes_free(
    cluster: Cluster, used: list[int], queue: list[Any], said: tuple[str, int, int]
) -> None:
    found = outlook_of(Shape("h100", 8, 1, HOUR), look(cluster, used, *queue))
    assert (found.code, found.free, found.waiting) == said
    assert str(found)
    if found.code == "later":
        assert found.wait_s == (4 * HOUR if found.waiting else HOUR)


def test_what_was_not_seen_lately_comes_last(cluster: Cluster) -> None:
    shape = Shape("h100", 1, 1, HOUR)
    assert outlook_of(shape, None).code == "unseen"
    assert outlook_of(shape, look(cluster, [0], reachable=False)).code == "unseen"
    assert outlook_of(shape, look(cluster, [0], taken_at=now() - timedelta(hours=1))).code == "unseen"


def test_the_one_that_fits_and_starts_first_is_at_the_head(
    submitter: User, allocation: Allocation, there: Allocation, cluster: Cluster, south: Cluster
) -> None:
    group = Group(allocation.project, "h100")

    def order(**changes: Any) -> list[str]:
        shape = {"gpus_per_node": 8, "nodes": 1, "time_limit_s": HOUR} | changes
        found = choose(person=submitter, group=group, **shape)
        assert found is not None
        return [row.cluster.name for row in found.candidates]

    look(cluster, [8, 8, 8], running(100))
    look(south, [8, 0])
    assert order() == ["south", "local"]
    assert order(nodes=3) == ["local", "south"], "three nodes do not fit the south, however free it is"
    look(cluster, [0, 8, 8])
    assert order() == ["local", "south"], "all else equal, what was given first"
    Cluster.objects.filter(name="local").update(retired_at=now())
    assert order() == ["south"]


def test_it_is_offered_where_there_is_something_to_choose(submitter: User, allocation: Allocation) -> None:
    def keys() -> list[str]:
        [choice] = submission_choices(submitter)
        return [group.key for group in groups_offered(choice)]

    pk = allocation.project.pk
    assert keys() == []
    makers.award(allocation.project, allocation.voucher.programme, cluster="south")
    assert keys() == [f"first:{pk}:h100"]
    makers.award(allocation.project, makers.programme("b", h200_hours=100), gpu_type="h200")
    assert keys() == [f"first:{pk}:h100", f"first:{pk}:*"]
    assert group_chosen(submitter, f"first:{pk}:*") == Group(allocation.project)


def test_a_stranger_cannot_name_a_group(outsider: User, allocation: Allocation) -> None:
    for value in (f"first:{allocation.project.pk}:h100", "first:x:h100", "first::", "first:9999999999999999999:*", "1"):
        assert group_chosen(outsider, value) is None


@pytest.fixture
def window(client_of: Any, submitter: User) -> Client:
    client: Client = client_of(submitter)
    client.cookies["django_language"] = "en"
    return client


def filled(of: Allocation, **changes: object) -> dict[str, object]:
    return {
        "key": str(uuid4()),
        "allocation": Group(of.project, "h100").key,
        "name": "train",
        "gpus_per_node": 8,
        "nodes": 1,
        "time_limit": "1h",
        "script": SCRIPT,
        "mode": "simple",
        **changes,
    }


def test_the_form_says_which_and_why_and_the_job_keeps_it(
    window: Client, allocation: Allocation, there: Allocation, cluster: Cluster, south: Cluster
) -> None:
    look(cluster, [8, 8, 8], running(100))
    look(south, [0, 0])
    data = filled(allocation)
    with translation.override("en"):
        shown = window.post(reverse("jobs:preview"), data).content.decode()
    assert "The portal takes H100 on <b>Trung tâm 2</b>: 16 GPUs are free there and nobody waits for them." in shown
    assert f"--qos={there.qos}" in shown
    window.post(reverse("jobs:new"), data)
    job = Job.objects.get()
    assert (job.cluster, job.allocation, job.partition) == (south, there, "gpu")
    assert job.chosen["asked"] == data["allocation"]
    assert [(row["cluster"], row["code"]) for row in job.chosen["among"]] == [
        ("Trung tâm 2", "free"),
        ("Trung tâm 1", "far"),
    ]
    page = window.get(reverse("jobs:job", args=[job.pk])).content.decode()
    assert "Chosen by the portal" in page
    assert "16 GPUs are free there and nobody waits for them" in page
    assert "Trung tâm 1" in page

    # The same form once more, now that another one would be chosen: it is that job.
    look(south, [8, 8], running(100))
    look(cluster, [0, 0, 0])
    window.post(reverse("jobs:new"), data)
    assert Job.objects.get() == job


def test_what_is_refused_there_is_not_moved(
    window: Client, allocation: Allocation, there: Allocation, cluster: Cluster, south: Cluster, slurm: FakeSlurm
) -> None:
    look(cluster, [8, 8, 8], running(100))
    look(south, [0, 0])
    window.post(reverse("jobs:new"), filled(allocation))
    job = Job.objects.get()
    slurm.on_submit.append(SubmissionRefused("time_limit", "Batch job submission failed: no"))
    submission.attempt(job_id=job.pk, number=1, adapter=slurm)
    job.refresh_from_db()
    assert (job.state, job.cluster, job.allocation) == ("refused", south, there)
    assert Job.objects.count() == 1


def test_a_job_that_waits_for_another_goes_to_its_cluster(
    window: Client, allocation: Allocation, there: Allocation, cluster: Cluster, south: Cluster
) -> None:
    look(cluster, [8, 8, 8], running(100))
    look(south, [0, 0])
    window.post(reverse("jobs:new"), filled(allocation, allocation=allocation.pk))
    first = Job.objects.get()
    data = filled(allocation, after=str(first.pk), after_kind="afterok")
    window.post(reverse("jobs:new"), data)
    assert set(Job.objects.values_list("cluster__name", flat=True)) == {"local"}
    assert Job.objects.count() == 2
