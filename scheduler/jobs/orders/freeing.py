"""Releasing what Slurm itself holds, in the cluster's worker: by the centre, because its owner may not.

A job whose launch failed, or that an administrator put on hold, waits until somebody who has seen to the cause lets it
start again.
"""

from scheduler.clusters import faults
from scheduler.clusters.adapters.protocol import ClusterAdapter, ClusterError, ClusterUnreachable, QueueJob
from scheduler.jobs.models import Order, SlurmHold
from scheduler.jobs.orders.state import RUNS, lines_now, order_end
from scheduler.jobs.states import is_left_held, portal_reason


def free(order: Order, adapter: ClusterAdapter) -> None:
    """Raises ClusterError: come again. What is released by then is seen in Slurm, and not released twice."""
    words = ""
    for line in _held(order, adapter):
        try:
            adapter.job_release(job_id=str(line.job_id))
        except ClusterUnreachable:
            raise
        except ClusterError as error:  # it has started or ended by now, or Slurm does not want to
            words = str(error)
        faults.reach("order_after_slurm")
    lines = lines_now(order, adapter)
    if any(is_left_held(line.state, line.reason) for line in lines):
        order_end(order, reason=f"{portal_reason('verb_refused')}\n{words}")
    elif any(line.state in ("PENDING", *RUNS) for line in lines):
        faults.reach("order_before_commit")
        if order_end(order):
            SlurmHold.objects.filter(job=order.job_id).delete()
    else:
        order_end(order, reason=portal_reason("verb_ended"))


def _held(order: Order, adapter: ClusterAdapter) -> list[QueueJob]:
    return [line for line in lines_now(order, adapter) if is_left_held(line.state, line.reason)]
