"""More time for a running job, in the cluster's worker.

Slurm does not check an administrator's change of a time limit against any budget. So the hold for the new limit was
taken before (`verbs.job_extend`); here it is compared with what the QOS has left in slurmctld's own count (minutes
used, and minutes that the limits of running jobs reserve), the limit is changed and read back, and that count is read
again: what started in between without the portal may have taken the room. Then the change is undone.
"""

from django.db import transaction

from portal.clock import now
from portal.outbox.errors import Later
from quotas.allocations.errors import AllocationNotOpen, BalanceTooSmall
from scheduler.clusters import faults
from scheduler.clusters.adapters.protocol import ClusterAdapter, QueueJob, VerbRefused
from scheduler.jobs.durations import MINUTE_S
from scheduler.jobs.models import Job, Order, Run
from scheduler.jobs.orders.state import LOOK_AGAIN_S, RUNS, line_of_run, order_end
from scheduler.jobs.preflight import hold_gpu_seconds
from scheduler.jobs.states import portal_reason
from scheduler.jobs.worker.covering import hold_swap


def extend(order: Order, adapter: ClusterAdapter) -> None:
    """Raises ClusterError or Later: come again. Whatever was done by then is seen in Slurm, and not done twice."""
    before_s, wanted_s = _limits(order)
    line = line_of_run(order, adapter)
    if line is None or line.state not in RUNS or line.time_limit_s is None:
        order_end(order, reason=portal_reason("verb_ended"))  # the run's hold is settled with its record
        return
    if line.time_limit_s not in (before_s, wanted_s):
        _give_up(order, line.time_limit_s, portal_reason("extend_changed"))
        return
    if line.time_limit_s == before_s:
        room = _room_minutes(order, adapter)
        if room is not None and room < _more_minutes(line, wanted_s - before_s):
            _give_up(order, before_s, _no_room(line, before_s, room))
            return
        try:
            adapter.job_time_limit_set(job_id=line.job_id, time_limit_s=wanted_s)
        except VerbRefused as refusal:
            _give_up(order, before_s, f"{portal_reason('verb_refused')}\n{refusal}")
            return
        faults.reach("order_after_slurm")
    _check_again(order, adapter)


def _check_again(order: Order, adapter: ClusterAdapter) -> None:
    before_s, wanted_s = _limits(order)
    line = line_of_run(order, adapter)
    if line is None or line.state not in RUNS or line.time_limit_s != wanted_s:
        raise Later(LOOK_AGAIN_S, "Slurm does not show the new limit")
    room = _room_minutes(order, adapter)
    if room is None or room >= 0:
        faults.reach("order_before_commit")
        with transaction.atomic():
            if order_end(order):
                Job.objects.filter(pk=order.job_id).update(time_limit_s=wanted_s, updated_at=now())
        return
    # Below what it has run already Slurm would end it at once.
    back_s = max(before_s, _elapsed_s(line) // MINUTE_S * MINUTE_S + MINUTE_S)
    adapter.job_time_limit_set(job_id=line.job_id, time_limit_s=min(back_s, wanted_s))
    faults.reach("order_after_undo")
    line = line_of_run(order, adapter)
    if line is not None and line.time_limit_s == wanted_s and back_s < wanted_s:
        raise Later(LOOK_AGAIN_S, "Slurm does not show the old limit")
    if line is not None:
        room += _more_minutes(line, wanted_s - before_s)
        _give_up(order, back_s, _no_room(line, before_s, room))
    else:
        order_end(order, reason=portal_reason("verb_ended"))


def _limits(order: Order) -> tuple[int, int]:
    assert order.time_limit_before_s is not None
    assert order.time_limit_s is not None
    return order.time_limit_before_s, order.time_limit_s


def _room_minutes(order: Order, adapter: ClusterAdapter) -> int | None:
    """GPU-minutes that the QOS has left beside what is used and what running jobs reserve. None: it has no limit."""
    qos = order.job.qos
    usage = adapter.qos_usage([qos]).get(qos)
    if usage is None or usage.limit_minutes is None:
        return None
    return usage.limit_minutes - usage.used_minutes - usage.running_minutes


def _more_minutes(line: QueueJob, seconds: int) -> int:
    return sum(line.gpus.values()) * seconds // MINUTE_S


def _elapsed_s(line: QueueJob) -> int:
    return int((now() - line.start_at).total_seconds()) if line.start_at else 0


def _no_room(line: QueueJob, before_s: int, room_minutes: int) -> str:
    longest_s = before_s + max(room_minutes, 0) // max(sum(line.gpus.values()), 1) * MINUTE_S
    return portal_reason("extend_no_room", longest_s=longest_s, before_s=before_s)


def _give_up(order: Order, time_limit_s: int, reason: str) -> None:
    """Refused: the run's hold becomes what the limit that Slurm has needs."""
    with transaction.atomic():
        assert order.run_id is not None
        run = Run.objects.select_for_update(no_key=True).filter(pk=order.run_id).first()
        if not order_end(order, reason=reason):
            return
        Job.objects.filter(pk=order.job_id).exclude(time_limit_s=time_limit_s).update(
            time_limit_s=time_limit_s, updated_at=now()
        )
        if run is not None and run.hold is not None and run.ended_at is None and not run.hold_resolved:
            _hold_back(order, run, time_limit_s)


def _hold_back(order: Order, run: Run, time_limit_s: int) -> None:
    job = order.job
    amount = hold_gpu_seconds(gpus=run.gpus, time_limit_s=time_limit_s, overshoot_s=job.cluster.overshoot_s)
    try:
        with transaction.atomic():
            hold_swap(
                run,
                allocation_id=job.allocation_id,
                amount_gpu_seconds=amount,
                reason=f"job {job.pk}: not extended",
                actor=f"worker:cluster.{job.cluster.name}",
            )
    except (AllocationNotOpen, BalanceTooSmall):
        pass  # the allocation closed meanwhile: the larger hold does no harm, and goes with the run's charge
