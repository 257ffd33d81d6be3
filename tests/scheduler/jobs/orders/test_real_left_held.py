"""A launch that fails on a real Slurm, of the test's own, and a node that is drained: an operator ends both.

The node cannot make the job's folder, because a file lies where the first job's belongs.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.urls import reverse

from portal.clock import now
from portal.people.models import Project, User
from quotas.allocations.models import Allocation
from scheduler.accounts.services import accounts_cycle
from scheduler.clusters.adapters.commands import CommandsAdapter
from scheduler.clusters.models import Cluster, NodeOrder
from scheduler.clusters.services import snapshot_take
from scheduler.clusters.upkeep import node_drain, node_drain_ask, node_resume, nodes_out
from scheduler.jobs.models import Job, Order, SlurmHold
from scheduler.jobs.orders.carrying import carry_out
from scheduler.jobs.worker.cycle import jobs_cycle
from scheduler.jobs.worker.submission import attempt
from tests import factories
from tests.quotas import makers
from tests.scheduler.jobs.makers import submit
from tests.scheduler.live import own_name, wait_for
from tests.scheduler.own_slurm import OwnSlurm, Partition, own_slurm

pytestmark = [pytest.mark.slurm, pytest.mark.django_db]
NODE = "gpu001"


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnSlurm]:
    with own_slurm(cluster="south", partitions=(Partition("h100", "h100", nodes=1),)) as made:
        monkeypatch.setitem(django_settings.SLURM, "south", made.how)
        yield made


def submitted(project: Project, slurm: OwnSlurm, adapter: CommandsAdapter) -> Job:
    cluster = Cluster.objects.create(
        name="south", title="South", account_prefix=own_name("")[:10], overshoot_s=60, created_at=now()
    )
    person = factories.person("a@example.vn", "A", unix_account=slurm.live().researchers[0])
    factories.project_member(person, project)
    allocation = makers.award(project, makers.programme(), gpu_seconds=makers.HOUR)
    Allocation.objects.filter(pk=allocation.pk).update(cluster=cluster.name)
    allocation.refresh_from_db()
    assert accounts_cycle(cluster.name) is not None
    snapshot_take(cluster=cluster, adapter=adapter)
    script = "#!/bin/bash\nsleep 600\n"
    job = submit(person, allocation, gpus_per_node=1, time_limit_s=600, script=script)
    attempt(job_id=job.pk, number=1, adapter=adapter)
    return job


def test_an_operator_lets_the_node_work_and_the_job_start_again(
    project: Project, slurm: OwnSlurm, operator: User, client_of: Callable[[User], Client]
) -> None:
    adapter, client = slurm.live().adapter(), client_of(operator)
    in_the_way = Path(slurm.directory, "state/slurmd", NODE, "job00001")
    in_the_way.touch()
    job = submitted(project, slurm, adapter)

    def look() -> Job:
        seen = snapshot_take(cluster=job.cluster, adapter=adapter)
        jobs_cycle(job.cluster.name, seen.queue, seen.status, adapter=adapter)
        job.refresh_from_db()
        return job

    def is_left() -> bool:
        return look().slurm_job_id == 1 and SlurmHold.objects.filter(job=job).exists()

    wait_for("Slurm to hold the job", is_left, 60)
    assert SlurmHold.objects.get().reason == "launch failed requeued held"
    slurm.live().admin("scontrol", "update", f"nodename={NODE}", "state=drain", "reason=its folder is broken")
    assert look().state == Job.State.PENDING
    (out,) = nodes_out(job.cluster)
    assert (out.name, out.words, out.by, out.answers) == (NODE, "its folder is broken", "root", True)
    assert out.since is not None
    assert abs(now() - out.since) < timedelta(minutes=5)
    in_the_way.unlink()
    client.post(reverse("clusters:node_resume", args=["south"]), {"node": NODE, "seen": out.seen})
    node_resume(order_id=NodeOrder.objects.get().pk, adapter=adapter)
    client.post(reverse("jobs:free", args=[job.pk]))
    carry_out(order_id=Order.objects.get().pk, adapter=adapter)
    assert (NodeOrder.objects.get().state, Order.objects.get().state) == ("done", "done")
    # Slurm lets what it put back wait for two minutes; an operator does not.
    adapter.programs.ask("scontrol", "update", "JobId=1", "StartTime=now")
    wait_for("the job to run", lambda: look().state == Job.State.RUNNING, 90)
    assert not SlurmHold.objects.exists()
    assert nodes_out(job.cluster) == []
    assert job.slurm_job_id == 1
    order = node_drain_ask(cluster=job.cluster, node=NODE, reason="GPU 3: lost, xid 79", person=operator)
    node_drain(order_id=order.pk, adapter=adapter)
    order.refresh_from_db()
    assert (order.state, look().state) == ("done", Job.State.RUNNING)  # what runs there goes on
    (out,) = nodes_out(job.cluster)
    assert (out.name, out.words) == (NODE, "GPU 3: lost, xid 79")
