"""What an order's job looks like in Slurm now, and the order's end. For the cluster's worker."""

from portal.clock import now
from scheduler.clusters.adapters.protocol import ClusterAdapter, QueueJob, VerbRefused
from scheduler.jobs.models import Order, Run
from scheduler.jobs.states import portal_reason

LOOK_AGAIN_S = 2
RUNS = ("RUNNING", "SUSPENDED")


def order_end(order: Order, *, reason: str = "") -> bool:
    """Done, or with a reason refused. Returns whether this call did it."""
    state = Order.State.REFUSED if reason else Order.State.DONE
    ended = Order.objects.filter(pk=order.pk, state=Order.State.ASKED)
    return bool(ended.update(state=state, reason=reason, ended_at=now()))


def order_refused(order: Order, refusal: VerbRefused) -> bool:
    return order_end(order, reason=f"{portal_reason('verb_refused')}\n{refusal}")


def lines_now(order: Order, adapter: ClusterAdapter) -> list[QueueJob]:
    """What squeue shows of the job now, ended runs that slurmctld remembers included."""
    job = order.job
    assert job.slurm_job_id is not None
    assert job.slurm_submit_at is not None
    runs = set(Run.objects.filter(job=job).values_list("submit_at", flat=True)) | {job.slurm_submit_at}
    return [
        line
        for line in adapter.queue(job_ids=[job.slurm_job_id])
        if line.user == job.unix_account
        and (line.submit_at in runs or (line.restarts and line.submit_at > job.slurm_submit_at))
    ]


def line_of_run(order: Order, adapter: ClusterAdapter) -> QueueJob | None:
    """The line of the very run that the order is for."""
    assert order.run is not None
    return next((line for line in lines_now(order, adapter) if line.submit_at == order.run.submit_at), None)
