"""Which jobs Slurm by itself, or an administrator, holds: they wait for an operator, who sees them by these rows."""

from collections.abc import Sequence

from portal.clock import now
from scheduler.clusters.adapters.protocol import QueueJob
from scheduler.clusters.models import Cluster
from scheduler.jobs.models import Job, SlurmHold
from scheduler.jobs.states import is_left_held

_IN_SLURM = (Job.State.PENDING, Job.State.RUNNING, Job.State.SUSPENDED)  # of an array a task may run, another be held


def slurm_holds_note(cluster: Cluster, queue: Sequence[QueueJob]) -> None:
    """Brings the rows to what squeue shows, of the portal's jobs and of those from outside it."""
    lines = {line.array_job_id or line.job_id: line for line in queue if is_left_held(line.state, line.reason)}
    known = {row.job_id: row for row in SlurmHold.objects.filter(job__cluster=cluster)}
    if not lines and not known:
        return
    held = {}
    # What waits for GPU-hours was put on hold by the portal, and goes on by itself.
    jobs = Job.objects.filter(cluster=cluster, slurm_job_id__in=lines, state__in=_IN_SLURM, held=None)
    for job in jobs.only("slurm_job_id", "slurm_submit_at", "unix_account"):
        line = lines[job.slurm_job_id or 0]
        if line.user == job.unix_account and job.slurm_submit_at and line.submit_at >= job.slurm_submit_at:
            held[job.pk] = line.reason[:200]
    SlurmHold.objects.filter(pk__in=[row.pk for pk, row in known.items() if held.get(pk) != row.reason]).delete()
    new = {pk: reason for pk, reason in held.items() if pk not in known or known[pk].reason != reason}
    moment = now()
    SlurmHold.objects.bulk_create([SlurmHold(job_id=pk, reason=reason, since=moment) for pk, reason in new.items()])
