"""The main job, from an application to a settled charge, through the services and the running workers.

Every step that waits says what it waits for, and gives up with one line that names it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from monitoring.canary.demo import Demo, demo_ensure
from monitoring.canary.errors import CanaryFailed
from portal.clock import centre_date, now
from portal.people.models import ProjectMembership
from portal.people.services import project_member_add
from quotas.allocations.models import Allocation
from quotas.applications.services import application_submit, decision_confirm, decision_propose
from scheduler.accounts.services import plan_make
from scheduler.clusters.models import Cluster, Snapshot
from scheduler.jobs.models import Job
from scheduler.jobs.services import job_submit
from scheduler.settlement.models import Record
from scheduler.settlement.services import reconcile

CLUSTER_WAIT_S = 120  # a first snapshot, and a plan applied and read back: a few cycles
JOB_WAIT_S = 240  # from the form to the end of a job of some seconds, a busy machine included
SETTLE_WAIT_S = 120
POLL_S = 0.5
GPU_HOURS = 1_000
TIME_LIMIT_S = 300
PROJECT_TITLE = "Mô hình ngôn ngữ tiếng Việt 7B"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Played:
    slurm_job_id: int
    charged_gpu_seconds: int
    slurmdbd_gpu_seconds: int
    residual_gpu_seconds: int


def main_job_play(say: Say) -> Played:
    """Plays the main job; the first call also makes the demo and its award. Raises CanaryFailed with one line."""
    demo = demo_ensure()
    cluster = Cluster.objects.get()
    _wait("the cluster's worker to report its first look at Slurm", CLUSTER_WAIT_S, lambda: _is_reachable(cluster))
    allocation = Allocation.objects.filter(voucher__programme=demo.programme).order_by("id").first()
    if allocation is None:
        allocation = _award(demo, cluster, say)
    _wait(
        f"the plan to be applied to Slurm and read back (worker cluster.{cluster.name})",
        CLUSTER_WAIT_S,
        lambda: not plan_make(cluster=cluster).changes,
    )
    say(f"limit of {allocation.qos} applied to Slurm and read back")
    job = job_submit(
        person=demo.researcher,
        project=allocation.project,
        allocation=allocation,
        name="hello-gpu",
        gpus_per_node=1,
        nodes=1,
        time_limit_s=TIME_LIMIT_S,
        preset="hello-gpu",
        form_key=uuid4(),
    )
    say(f"{demo.researcher} submitted {job.name} as {job.unix_account}")
    return _follow(job, say)


def _award(demo: Demo, cluster: Cluster, say: Say) -> Allocation:
    today = centre_date(now())
    application = application_submit(
        person=demo.manager,
        organisation=demo.organisation,
        programme=demo.programme,
        project_title=PROJECT_TITLE,
        purpose="Tinh chỉnh một mô hình mở 7 tỷ tham số cho tiếng Việt; công bố phương pháp và trọng số.",
        gpu_type="h100",
        gpu_hours=GPU_HOURS,
        starts_on=today,
        ends_on=today + timedelta(days=364),
    )
    say(f"{demo.manager} applied for {GPU_HOURS} GPU-hours of h100")
    decision = decision_propose(
        person=demo.proposer,
        application=application,
        outcome="award",
        awarded_gpu_hours=GPU_HOURS,
        cluster=cluster.name,
        reason="Đúng sản phẩm ưu tiên, kế hoạch mở rõ ràng.",
    )
    say(f"{demo.proposer} proposed the award")
    decision = decision_confirm(person=demo.confirmer, decision=decision)
    say(f"{demo.confirmer} confirmed it")
    allocation = decision.allocation
    assert allocation is not None
    project_member_add(
        project=allocation.project,
        user=demo.researcher,
        role=ProjectMembership.Role.RESEARCHER,
        actor=demo.manager,
    )
    return allocation


def _follow(job: Job, say: Say) -> Played:
    seen = ""

    def ended() -> bool:
        nonlocal seen
        job.refresh_from_db()
        if job.state != seen:
            seen = job.state
            say(f"job {job.slurm_job_id or '(no id yet)'}: {seen} {job.reason}".rstrip())
        return not job.is_open

    _wait("the job to end (its last state stands above)", JOB_WAIT_S, ended)
    if job.state != Job.State.COMPLETED:
        raise CanaryFailed(f"The job ended as {job.state}: {job.reason or 'Slurm gives no reason'}.")
    records = Record.objects.filter(cluster=job.cluster, job_id_raw=job.slurm_job_id, is_final=True)
    _wait(
        "settlement to charge the job's record from slurmdbd",
        SETTLE_WAIT_S,
        lambda: records.exists() and not job.runs.filter(hold_resolved=False).exists(),
    )
    record = records.get()
    result = reconcile(cluster=job.cluster)
    if result.residual_gpu_seconds or result.differences:
        raise CanaryFailed(
            f"Ledger and slurmdbd differ by {result.residual_gpu_seconds} GPU-seconds:"
            f" `manage.py reconcile --cluster {job.cluster.name}` lists where."
        )
    return Played(
        slurm_job_id=record.job_id_raw,
        charged_gpu_seconds=record.charged_gpu_seconds,
        slurmdbd_gpu_seconds=record.gpu_seconds,
        residual_gpu_seconds=result.residual_gpu_seconds,
    )


def _is_reachable(cluster: Cluster) -> bool:
    return Snapshot.objects.filter(cluster=cluster, reachable=True).exists()


def _wait(what: str, limit_s: float, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > deadline:
            raise CanaryFailed(f"Waited {limit_s:.0f} s for {what}; `make status` shows which process to look at.")
        time.sleep(POLL_S)
