"""The holds of runs: what the next one needs, and that nobody changes one while it is charged."""

from collections.abc import Iterable

from scheduler.clusters.models import Cluster
from scheduler.jobs.models import Job, Run
from scheduler.settlement.charges import hold_gpu_seconds
from scheduler.settlement.seen import Seen


def next_hold_gpu_seconds(job: Job, queued: Seen | None, cluster: Cluster) -> int:
    """What the run after a requeue may cost at most, as squeue shows it or as it was submitted."""
    gpus, time_limit_s = job.gpus, job.time_limit_s
    if queued is not None:
        gpus, time_limit_s = queued.gpus, queued.time_limit_s or time_limit_s
    return hold_gpu_seconds(gpus=gpus, time_limit_s=time_limit_s, overshoot_s=cluster.overshoot_s)


def holds_lock(runs: Iterable[Run]) -> None:
    """A person may be asking for more time for a run this very moment: its hold is read again, and stays until the
    caller's transaction ends."""
    held = {run.pk: run for run in runs if run.hold}
    if not held:
        return
    rows = Run.objects.select_for_update(no_key=True).filter(pk__in=held).order_by("pk")
    for pk, hold, amount, resolved in rows.values_list("pk", "hold", "held_gpu_seconds", "hold_resolved"):
        run = held[pk]
        run.hold, run.held_gpu_seconds, run.hold_resolved = hold, amount, resolved
