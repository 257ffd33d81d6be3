"""Findings of every kind, as the watch writes them."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client

from monitoring.watching.core import Verdict
from monitoring.watching.evidence import Sight
from monitoring.watching.models import Finding
from monitoring.watching.services import finding_open
from portal.clock import now
from portal.people.models import User
from quotas.allocations.models import Allocation
from scheduler.clusters.models import Cluster
from scheduler.jobs.models import Job
from tests.conftest import ClientOf

IDLE = {
    "found": 2,
    "gpus": 2,
    "all": True,
    "window_s": 1_800,
    "busy_percent": 0.0,
    "nodes": ["gpu001"],
    "uuids": ["GPU-a", "GPU-b"],
}
SightOf = Callable[..., Sight]


def job_running(cluster: Cluster, allocation: Allocation, person: User, number: int = 7) -> Job:
    began = now() - timedelta(hours=2)
    return Job.objects.create(
        origin=Job.Origin.OUTSIDE, cluster=cluster, project=allocation.project, allocation=allocation, person=person,
        unix_account="minh", name="huấn luyện", partition="h100", gpu_type="h100", time_limit_s=86_400,
        gpus_per_node=2, slurm_job_id=number, slurm_submit_at=began, created_at=began, updated_at=began,
        state=Job.State.RUNNING,
    )  # fmt: skip


@pytest.fixture
def job(cluster: Cluster, allocation: Allocation, researcher: User) -> Job:
    return job_running(cluster, allocation, researcher)


def idle_sight(job: Job, verdict: Verdict = Verdict.YES) -> Sight:
    evidence = IDLE if verdict == Verdict.YES else {}
    return Sight(
        kind=Finding.Kind.IDLE,
        cluster=job.cluster_id,
        subject=str(job.pk),
        verdict=verdict,
        evidence=evidence,
        job=job.pk,
    )


def sick_sight(cluster: Cluster, verdict: Verdict = Verdict.YES) -> Sight:
    return Sight(
        kind=Finding.Kind.SICK,
        cluster=cluster.pk,
        subject="GPU-a",
        verdict=verdict,
        evidence={"reasons": ["lost", "xid 79"]},
        node="gpu001",
    )


@pytest.fixture
def finding(job: Job) -> Finding:
    return finding_open(sight=idle_sight(job), moment=now())


@pytest.fixture
def sick(cluster: Cluster) -> Finding:
    return finding_open(sight=sick_sight(cluster), moment=now())


@pytest.fixture
def operating(client_of: ClientOf, operator: User) -> Client:
    found = client_of(operator)
    found.cookies["django_language"] = "en"
    return found
