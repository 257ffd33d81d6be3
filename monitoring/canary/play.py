"""The main job, from an application to a settled charge, through the services and the running workers.

Every step that waits says what it waits for, and gives up with one line that names it.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from kombu.exceptions import OperationalError

from monitoring.canary.demo import Demo, demo_ensure
from monitoring.canary.errors import CanaryFailed
from portal.clock import centre_date, now
from portal.people.models import ProjectMembership
from portal.people.services import project_member_add
from quotas.allocations.models import Allocation
from quotas.applications.services import application_submit
from quotas.reviews.services import decision_confirm, decision_propose
from scheduler.accounts.services import plan_make
from scheduler.clusters.adapters import adapter_for
from scheduler.clusters.models import Cluster, Snapshot
from scheduler.jobs.errors import JobRefused
from scheduler.jobs.models import Job
from scheduler.jobs.services import job_submit
from scheduler.settlement.models import Reconciliation
from scheduler.settlement.services import reconcile
from scheduler.settlement.tasks import cluster_cycle

CLUSTER_WAIT_S = 120  # a first snapshot, and a plan applied and read back: a few cycles
JOB_WAIT_S = 240  # from the form to the end of a job of some seconds, a busy machine included
SETTLE_WAIT_S = 120
POLL_S = 0.5
NUDGE_S = 3.0
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
    _wait(
        "the cluster's worker to report its first look at Slurm",
        CLUSTER_WAIT_S,
        lambda: _is_reachable(cluster),
        cluster=cluster,
    )
    allocation = Allocation.objects.filter(voucher__programme=demo.programme).order_by("id").first()
    if allocation is None:
        allocation = _award(demo, cluster, say)
    _wait(
        f"the plan to be applied to Slurm and read back (worker cluster.{cluster.name})",
        CLUSTER_WAIT_S,
        lambda: not plan_make(cluster=cluster).changes,
        cluster=cluster,
    )
    say(f"limit of {allocation.qos} applied to Slurm and read back")
    try:
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
    except JobRefused as error:
        raise CanaryFailed(f"The portal refused the job: {error}") from error
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

    _wait("the job to end (its last state stands above)", JOB_WAIT_S, ended, cluster=job.cluster)
    if job.state != Job.State.COMPLETED:
        raise CanaryFailed(f"The job ended as {job.state}: {job.reason or 'Slurm gives no reason'}.")
    assert job.slurm_job_id is not None
    runs = job.runs.filter(charged_gpu_seconds__isnull=False, hold_resolved=True)
    _wait(
        "settlement to charge the job's record from slurmdbd",
        SETTLE_WAIT_S,
        lambda: runs.exists() and not job.runs.filter(hold_resolved=False).exists(),
        cluster=job.cluster,
    )
    residual = _reconciled(job.cluster)
    keys = set(runs.values_list("job_id_raw", "submit_at"))
    own = [
        record
        for record in adapter_for(job.cluster.name).records(job_ids=[job.slurm_job_id])
        if (record.job_id_raw, record.submit_at) in keys
    ]
    return Played(
        slurm_job_id=job.slurm_job_id,
        charged_gpu_seconds=sum(run.charged_gpu_seconds or 0 for run in runs),
        slurmdbd_gpu_seconds=sum(sum(record.gpus.values()) * record.elapsed_s for record in own),
        residual_gpu_seconds=residual,
    )


def _reconciled(cluster: Cluster) -> int:
    """Waits until ledger and slurmdbd agree on every record: another job may just have ended."""
    last: list[Reconciliation] = []

    def agree() -> bool:
        last[:] = [reconcile(cluster=cluster)]
        return not last[0].residual_gpu_seconds and not last[0].differences

    try:
        _wait("ledger and slurmdbd to agree", SETTLE_WAIT_S, agree, cluster=cluster)
    except CanaryFailed as error:
        raise CanaryFailed(
            f"Ledger and slurmdbd differ by {last[0].residual_gpu_seconds} GPU-seconds:"
            f" `manage.py reconcile --cluster {cluster.name}` lists where."
        ) from error
    return last[0].residual_gpu_seconds


def _is_reachable(cluster: Cluster) -> bool:
    return Snapshot.objects.filter(cluster=cluster, reachable=True).exists()


def _wait(what: str, limit_s: float, holds: Callable[[], bool], *, cluster: Cluster) -> None:
    """Polls; meanwhile asks the cluster's worker for a cycle now and then, rather than wait for the beat's next."""
    began = nudged = time.monotonic()
    while not holds():
        moment = time.monotonic()
        if moment - began > limit_s:
            raise CanaryFailed(f"Waited {limit_s:.0f} s for {what}; `make status` shows which process to look at.")
        if moment - nudged > NUDGE_S:
            nudged = moment
            _nudge(cluster)
        time.sleep(POLL_S)


def _nudge(cluster: Cluster) -> None:
    # Without Redis nobody is woken; the beat's own cycle comes all the same once it is back.
    with suppress(OperationalError):
        cluster_cycle.apply_async(args=[cluster.name], queue=f"cluster.{cluster.name}", expires=NUDGE_S, retry=False)
