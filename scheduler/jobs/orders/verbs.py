"""What a person may ask of a job that is in Slurm: hold, release, requeue, more time, cancel one task.

Each is one transaction: the order's row, what it means for the hold, and the message to the cluster's worker, which
carries it out as the person (`orders.py`). Nothing here talks to a cluster.
"""

from dataclasses import dataclass
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from portal.clock import now
from portal.outbox.services import message_write
from portal.people.models import User
from quotas.allocations.errors import AllocationNotOpen, BalanceTooSmall
from quotas.allocations.selectors import free_gpu_seconds
from quotas.units import gpu_hours_text
from scheduler.clusters.models import Partition
from scheduler.clusters.slices import slices_read
from scheduler.jobs.arrays import tasks_shown
from scheduler.jobs.durations import MINUTE_S, duration_text
from scheduler.jobs.errors import VerbImpossible
from scheduler.jobs.models import Job, Order, Run, SlurmHold
from scheduler.jobs.places import limits_of_person
from scheduler.jobs.preflight import hold_gpu_seconds, longest_time_limit_s
from scheduler.jobs.states import HELD_BY_OWNER, HELD_REASONS, is_left_held
from scheduler.jobs.worker.covering import hold_swap

ORDER_TOPIC = "jobs.order"
Verb = Order.Verb


@dataclass(frozen=True)
class Possible:
    """Which verbs fit the state that the job was last seen in. `under_way` is the order that is not done yet."""

    verbs: frozenset[str]
    under_way: Order | None


def possible(job: Job) -> Possible:
    under_way = job.orders.filter(state=Order.State.ASKED, task=None).select_related("person").first()
    if under_way is not None or not _in_slurm(job):
        return Possible(frozenset(), under_way)
    return Possible(frozenset(verb for verb in Verb.values if _fits(job, verb)), None)


def _in_slurm(job: Job) -> bool:
    return job.origin == Job.Origin.PORTAL and job.slurm_job_id is not None and job.cancel_requested_at is None


def _fits(job: Job, verb: str) -> bool:
    if verb == Verb.HOLD:
        return job.state == Job.State.PENDING and not (
            job.reason in HELD_REASONS or is_left_held("PENDING", job.reason)
        )
    if verb == Verb.RELEASE:
        return job.state == Job.State.PENDING and job.reason == HELD_BY_OWNER
    if verb == Verb.CANCEL_TASK:
        return job.is_array and job.is_open
    if verb == Verb.FREE:
        return False  # the centre's, not its people's
    # Of an array's tasks each has its own limit and its own run: those are asked of plain jobs only.
    return job.state == Job.State.RUNNING and not job.is_array


def job_order(*, job_id: UUID, person: User, verb: str) -> Order:
    """Asks for a hold, a release or a requeue. Asked twice, it is asked once.

    Raises VerbImpossible, with the reason in words: the job's state does not fit, another order is not done yet, or
    the balance does not reach for another run.
    """
    if verb not in (Verb.HOLD, Verb.RELEASE, Verb.REQUEUE):
        raise ValueError(verb)
    with transaction.atomic():
        job = _job(job_id)
        same = job.orders.filter(state=Order.State.ASKED, task=None, verb=verb).first()
        if same is not None:
            return same
        _check(job, verb)
        run = None if job.is_array else _run_now(job)
        if verb == Verb.REQUEUE:
            assert run is not None
            _another_run_check(job, run)
        return _order_write(Order(job=job, run=run, verb=verb, person=person))


def job_extend(*, job_id: UUID, person: User, time_limit_s: int) -> Order:
    """Asks for a longer time limit of a running job, in seconds, whole minutes, counted from its start.

    The hold for the whole new limit is taken here, before Slurm is asked: Slurm checks nothing where an administrator
    extends. Raises VerbImpossible, which names the longest limit that fits.
    """
    if time_limit_s % MINUTE_S:
        raise ValueError("whole minutes")
    with transaction.atomic():
        job = _job(job_id)
        same = job.orders.filter(state=Order.State.ASKED, verb=Verb.EXTEND, time_limit_s=time_limit_s).first()
        if same is not None:
            return same
        _check(job, Verb.EXTEND)
        if time_limit_s <= job.time_limit_s:
            raise VerbImpossible(_("The job has this much time already: name a longer time limit."))
        longest = _partition_longest(job)
        if longest and time_limit_s > longest:
            raise VerbImpossible(_too_long(job, longest))
        run = _run_now(job)
        order = _order_write(
            Order(
                job=job,
                run=run,
                verb=Verb.EXTEND,
                person=person,
                time_limit_before_s=job.time_limit_s,
                time_limit_s=time_limit_s,
            )
        )
        # Last, because it locks the allocation's balance.
        _extension_hold(job, run, time_limit_s, person)
    return order


def task_cancel(*, job_id: UUID, person: User, task: int) -> Order:
    """Asks for one task of an array to be cancelled. Asked twice, it is asked once. Raises VerbImpossible."""
    with transaction.atomic():
        job = _job(job_id)
        same = job.orders.filter(state=Order.State.ASKED, task=task).first()
        if same is not None:
            return same
        if job.slurm_job_id is None and job.is_array and job.is_open:
            raise VerbImpossible(_("The job is on its way to Slurm: wait for its number, or cancel all of it."))
        _check(job, Verb.CANCEL_TASK)
        if task not in tasks_shown(job.array):
            raise VerbImpossible(_("The array has no such task."))
        run = job.runs.filter(array_task=task).order_by("-pk").first()
        if run is not None and run.ended_at is not None:
            raise VerbImpossible(_("This task has already ended."))
        return _order_write(Order(job=job, verb=Verb.CANCEL_TASK, task=task, person=person))


def job_free(*, job_id: UUID, person: User) -> Order:
    """Asks, for the centre, that Slurm lets go of what it holds by itself: an operator's, of jobs from outside the
    portal too. Asked twice, it is asked once. Raises VerbImpossible."""
    with transaction.atomic():
        job = _job(job_id)
        same = job.orders.filter(state=Order.State.ASKED, verb=Verb.FREE).first()
        if same is not None:
            return same
        if not job.is_open or job.cancel_requested_at is not None or not SlurmHold.objects.filter(job=job).exists():
            raise VerbImpossible(_("Slurm does not hold this job any more."))
        _none_under_way(job)
        return _order_write(Order(job=job, verb=Verb.FREE, person=person))


def _job(job_id: UUID) -> Job:
    """Without a lock: settlement has a run's row before the job's, and what is asked is checked again in Slurm."""
    return Job.objects.select_related("cluster", "allocation__voucher__programme").defer("script").get(pk=job_id)


def _check(job: Job, verb: str) -> None:
    if not job.is_open:
        raise VerbImpossible(_("This job has already ended."))
    if job.cancel_requested_at is not None:
        raise VerbImpossible(_("The job is being cancelled."))
    if verb != Verb.CANCEL_TASK:
        _none_under_way(job)
    if not (_in_slurm(job) and _fits(job, verb)):
        raise VerbImpossible(
            _("This does not fit the job's state by now: it is “%(state)s”.") % {"state": job.get_state_display()}
        )


def _none_under_way(job: Job) -> None:
    if job.orders.filter(state=Order.State.ASKED, task=None).exists():
        raise VerbImpossible(_("What was asked for before is still on its way to Slurm. Try again in a moment."))


def _run_now(job: Job) -> Run:
    """The job's open run, locked until the commit: it is settled before, and there is none, or after."""
    run = Run.objects.select_for_update(no_key=True).filter(job=job, ended_at=None, submit_at__isnull=False).last()
    if run is None:
        raise VerbImpossible(_("Its run has just ended."))
    return run


def _order_write(order: Order) -> Order:
    order.id, order.asked_at = uuid4(), now()
    try:
        with transaction.atomic():
            order.save(force_insert=True)
    except IntegrityError as error:  # somebody else's order came first
        raise VerbImpossible(
            _("What was asked for before is still on its way to Slurm. Try again in a moment.")
        ) from error
    message_write(
        topic=ORDER_TOPIC,
        key=str(order.pk),
        payload={"order": str(order.pk)},
        queue=f"cluster.{order.job.cluster.name}",
    )
    return order


# --- the balance --------------------------------------------------------------------------------------------------


def _another_run_check(job: Job, run: Run) -> None:
    """What this run has used is charged, the rest of its hold comes back, and the next run takes its own."""
    free = free_gpu_seconds(job.allocation)
    used = run.gpus * max(int((now() - run.started_at).total_seconds()), 0) if run.started_at else 0
    used = slices_read().charged(job.gpu_type, used)
    comes_back = max(run.held_gpu_seconds - used, 0) if run.hold and not run.hold_resolved else 0
    needed = hold_gpu_seconds(gpus=job.gpus, time_limit_s=job.time_limit_s, overshoot_s=job.cluster.overshoot_s)
    if free + comes_back < needed:
        raise VerbImpossible(
            _("Another run reserves %(needed)s GPU-hours; after this one is charged, %(free)s are left.")
            % {"needed": gpu_hours_text(needed, up=True), "free": gpu_hours_text(max(free + comes_back, 0))}
        )


def _extension_hold(job: Job, run: Run, time_limit_s: int, person: User) -> None:
    if job.is_cpu:
        return  # nothing is held for it
    overshoot_s = job.cluster.overshoot_s
    try:
        with transaction.atomic():
            hold_swap(
                run,
                allocation_id=job.allocation_id,
                amount_gpu_seconds=hold_gpu_seconds(gpus=run.gpus, time_limit_s=time_limit_s, overshoot_s=overshoot_s),
                reason=f"job {job.pk}: time limit {job.time_limit_s} s to {time_limit_s} s",
                actor=person,
            )
    except BalanceTooSmall as error:
        longest = longest_time_limit_s(
            gpus=run.gpus,
            free_gpu_seconds=error.free_gpu_seconds,
            overshoot_s=overshoot_s,
            max_time_s=_partition_longest(job),
        )
        raise VerbImpossible(_too_long(job, longest)) from error
    except AllocationNotOpen as error:
        raise VerbImpossible(str(error)) from error


def _partition_longest(job: Job) -> int:
    """Also of a person's jobs: Slurm checks neither where an administrator extends. 0: no limit."""
    rows = Partition.objects.filter(cluster=job.cluster_id, name=job.partition)
    limits = [rows.values_list("max_time_s", flat=True).first() or 0]
    if (person := limits_of_person(job)) is not None:
        limits.append(person.time_limit_s)
    return min(filter(None, limits), default=0)


def _too_long(job: Job, longest_s: int) -> str:
    if longest_s <= job.time_limit_s:
        return _("No extension fits: the balance or the partition does not reach beyond the present limit.")
    return _("The longest time limit that fits is %(longest)s.") % {"longest": duration_text(longest_s)}
