"""The cluster worker's part of a submission: one attempt, and binding a job to what Slurm shows.

Every step is a compare-and-set on the job's row, because others may be there first: a person who cancels, the cycle
that looks for the job, a second delivery of the same message after a crash. Nothing here holds a transaction open while
Slurm is asked.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce, Length

from portal.clock import now
from portal.outbox.models import Message
from scheduler.clusters import faults
from scheduler.clusters.adapters.protocol import (
    MOST_AT_ONCE,
    AccountingRecord,
    ClusterAdapter,
    ClusterError,
    QueueJob,
    SubmissionNotBegun,
    SubmissionRefused,
    SubmissionUnknown,
    SubmitRequest,
)
from scheduler.clusters.names import account_name
from scheduler.jobs.models import Job, Run
from scheduler.jobs.services import SUBMIT_TOPIC, cancel_order, runs_void, submit_order
from scheduler.jobs.states import OF_QUEUE, portal_reason, slurm_reason
from scheduler.jobs.worker.dependencies import parents_await
from scheduler.jobs.worker.lookup import ACCOUNT_LATE_S, ATTEMPT_STARTS_WITHIN_S, TRIED_FOR_S, Wanted

logger = logging.getLogger(__name__)

# Refusals that pass by themselves: for how long after the first attempt another one follows, and what the page says.
TRIED_AGAIN = {
    "connect_failure": (TRIED_FOR_S, "controller_away"),  # sbatch never reached slurmctld
    # An award or a new member of moments ago: the next cycles of the plan bring account and QOS to Slurm.
    "invalid_account": (ACCOUNT_LATE_S, "account_late"),
    "invalid_qos": (ACCOUNT_LATE_S, "account_late"),
    # The hold was taken, so the balance is there: Slurm's limit is behind it, as after a resumption or a top-up.
    "qos_limit": (ACCOUNT_LATE_S, "limit_late"),
}
TAKEN_ALONG = MOST_AT_ONCE - 1  # three side by side, some 10 ms each: over before their researcher would notice
# Of their scripts: escaped, they pass through the wrapper's 4 MiB together with one of the longest that there are.
ROOM_ALONG = 200_000
RETRY_FIRST_S, RETRY_LIMIT_S = 5, 120  # how long until the next attempt: doubled each time
# States of a job of which nobody knows whether it is in Slurm.
IN_DOUBT = (Job.State.SUBMITTING, Job.State.UNKNOWN)
_BOUND = [
    *("state", "slurm_job_id", "slurm_submit_at", "reason"),
    *("bound_at", "updated_at", "denied_since", "looked_at"),
]


def attempt(*, job_id: UUID, number: int, adapter: ClusterAdapter) -> None:
    """Tries to submit a job, for the `number`-th time. Delivered twice, the second does nothing.

    What the same researcher has waiting besides is taken along: one sudo and one look at the queue for all of them.
    Raises Later where a job that it depends on is not in Slurm yet.
    """
    after = parents_await(job_id=job_id, adapter=adapter)
    if after is None:
        return
    moment = now()
    jobs = _begin(job_id, number, moment)
    if not jobs:
        return
    faults.reach("before_sbatch")
    if now() - moment > timedelta(seconds=ATTEMPT_STARTS_WITHIN_S):
        logger.warning("jobs %s: interrupted before sbatch; they are looked for", [str(job.pk) for job in jobs])
        return
    claims: dict[int, Job] = {}
    for job, outcome in zip(jobs, _submit(jobs, adapter, after), strict=True):
        if isinstance(outcome, int):
            claims[outcome] = job
        elif isinstance(outcome, SubmissionRefused):
            _refused(job, outcome)
        elif isinstance(outcome, SubmissionNotBegun):
            job_requeue(job, reason="", at_once=True)
        else:  # whatever broke, sbatch may have been through
            _unknown(job, portal_reason("no_answer"), detail=str(outcome))
    if claims:
        faults.reach("after_sbatch")
        _claims_check(claims, adapter)


def _begin(job_id: UUID, number: int, moment: datetime) -> list[Job]:
    """Marks the job, and others of its researcher that are due, as being submitted. Empty: there is nothing to do."""
    begun = _mark(Job.objects.filter(pk=job_id, state=Job.State.QUEUED, attempts=number - 1), moment)
    if not begun:
        return []  # cancelled meanwhile, or begun before a crash
    job = _with_all().get(pk=job_id)
    return [job, *_others_begin(job, moment)]


def _mark(jobs: QuerySet[Job], moment: datetime) -> int:
    """Committed before sbatch starts. Whoever finds a job so later knows that it may exist, and looks for it; only the
    look-up's "denied" leads back to "queued"."""
    return jobs.update(
        state=Job.State.SUBMITTING,
        attempts=F("attempts") + 1,
        attempted_at=Coalesce(F("attempted_at"), moment),
        last_attempt_at=moment,
        denied_since=None,
        looked_at=None,
        reason="",
        updated_at=moment,
    )


def _others_begin(job: Job, moment: datetime) -> list[Job]:
    queue = f"cluster.{job.cluster.name}"
    due = Message.objects.filter(topic=SUBMIT_TOPIC, queue=queue, delivered_at__isnull=True, due_at__lte=moment)
    orders = {
        UUID(payload["job"]): (pk, payload["attempt"])
        for pk, payload in due.order_by("due_at", "id").values_list("pk", "payload")[: 4 * TAKEN_ALONG]
        if payload["job"] != str(job.pk)
    }
    if not orders:
        return []
    with transaction.atomic():
        waiting = Job.objects.select_for_update(no_key=True, skip_locked=True, of=("self",)).filter(
            pk__in=orders, state=Job.State.QUEUED, unix_account=job.unix_account, dependencies=None
        )
        room, taken = ROOM_ALONG, []
        waiting = waiting.order_by("created_at")
        for pk, made, length in waiting.values_list("pk", "attempts", Length("script"))[:TAKEN_ALONG]:
            if length <= room and orders[pk][1] == made + 1:
                room -= length
                taken.append(pk)
        if not taken:
            return []
        _mark(Job.objects.filter(pk__in=taken), moment)
        # Their orders are carried out with this one's; should this process die, the look-up takes over.
        Message.objects.filter(pk__in=[orders[pk][0] for pk in taken]).update(delivered_at=moment)
    return list(_with_all().filter(pk__in=taken).order_by("created_at"))


def _with_all() -> QuerySet[Job]:
    return Job.objects.select_related("allocation__project", "cluster")


def _submit(jobs: list[Job], adapter: ClusterAdapter, after: str) -> Sequence[int | Exception]:
    """`after` is what the first of them waits for in Slurm; the others wait for nothing."""
    requests = [_request(jobs[0], after), *(_request(job) for job in jobs[1:])]
    try:
        if len(requests) > 1:
            return adapter.submit_many(requests)
        return [adapter.submit(requests[0])]
    except (SubmissionRefused, SubmissionUnknown) as outcome:
        return [outcome]
    except Exception as error:
        logger.exception("jobs %s: the attempt broke", [str(job.pk) for job in jobs])
        return [error] * len(jobs)


def wanted(job: Job) -> Wanted:
    """By what the job is recognised in squeue and slurmdbd."""
    assert job.attempted_at is not None
    return Wanted(
        comment=str(job.pk),
        user=job.unix_account,
        account=account_name(job.cluster, job.allocation.project.slug),
        qos=job.qos,
        attempted_at=job.attempted_at,
    )


def job_bind(job: Job, found: QueueJob | AccountingRecord) -> bool:
    """Binds a job to (number, submit time), once. Returns whether this call did it."""
    return bool(jobs_bind({job.pk: found}))


def jobs_bind(found: Mapping[UUID, QueueJob | AccountingRecord]) -> set[UUID]:
    """Binds jobs in doubt to what Slurm shows of them, in one transaction. Returns those that this call bound."""
    moment = now()
    with transaction.atomic():
        # The rows are ours until the commit: a cancellation asked for before is seen here, a later one sees the number.
        waiting = Job.objects.select_for_update(no_key=True, of=("self",)).select_related("cluster").defer("script")
        jobs = list(waiting.filter(pk__in=found, state__in=IN_DOUBT, slurm_job_id__isnull=True))
        # An array's tasks get their numbers when they start: settlement binds each by what Slurm shows of it.
        unbound = Run.objects.filter(job__in=jobs, job_id_raw=None, array_task=None, ended_at=None)
        runs = list(unbound)
        for job in jobs:
            line = found[job.pk]
            job.slurm_job_id = number_of(line)
            if isinstance(line, QueueJob):
                job.reason = reason_shown(line)
                job.state = OF_QUEUE.get(line.state, Job.State.PENDING)
            else:
                job.reason, job.state = "", Job.State.UNKNOWN
            job.slurm_submit_at = line.submit_at
            job.bound_at = job.updated_at = moment
            job.denied_since = job.looked_at = None
            if job.cancel_requested_at is not None:
                cancel_order(job)
        bound = {job.pk: job for job in jobs}
        for run in runs:
            job = bound[run.job_id]
            run.job_id_raw, run.submit_at, run.state = job.slurm_job_id, job.slurm_submit_at, job.state
        Job.objects.bulk_update(jobs, _BOUND)
        Run.objects.bulk_update(runs, ["job_id_raw", "submit_at", "state"])
        faults.reach("before_commit")
    return set(bound)


def number_of(line: QueueJob | AccountingRecord) -> int:
    """The number that sbatch printed: of an array its own, not the task's."""
    if isinstance(line, QueueJob):
        return line.array_job_id or line.job_id
    array, underscore, _task = line.job_id.partition("_")
    return int(array) if underscore and array.isdecimal() else line.job_id_raw


def reason_shown(line: QueueJob) -> str:
    """Why a job waits, in Slurm's word. A running job has no reason; "None" is Slurm's for not having looked yet."""
    return line.reason if line.state == "PENDING" and line.reason not in ("None", "(null)") else ""


def job_requeue(job: Job, *, reason: str, at_once: bool = False) -> bool:
    """Puts a job that is known not to exist in Slurm back into the queue for another attempt, later each time.

    Where its cancellation was asked for meanwhile, it is cancelled instead.
    """
    moment = now()
    with transaction.atomic():
        if not _take_uncertain(job):
            return False
        if job.cancel_requested_at is not None:
            _end(job, Job.State.CANCELLED, "")
            return True
        Job.objects.filter(pk=job.pk).update(
            state=Job.State.QUEUED,
            slurm_job_id=None,
            slurm_submit_at=None,
            bound_at=None,
            denied_since=None,
            looked_at=None,
            reason=reason,
            updated_at=moment,
        )
        Run.objects.filter(job=job, ended_at__isnull=True).update(
            job_id_raw=None, submit_at=None, state=Job.State.PENDING
        )
        after_s = 0 if at_once else min(RETRY_LIMIT_S, RETRY_FIRST_S * 2 ** min(job.attempts - 1, 10))
        submit_order(job, due_at=moment + timedelta(seconds=after_s))
    return True


def job_end_unsubmitted(job: Job, *, state: str, reason: str) -> bool:
    """Ends a job that does not exist in Slurm (any more) and gives its hold back."""
    with transaction.atomic():
        taken = _take_uncertain(job)
        if taken:
            _end(job, state, reason)
    return taken


def _take_uncertain(job: Job) -> bool:
    """Locks the job's row if it is still as it was read: in doubt, and with the same number or none."""
    row = Job.objects.select_for_update(no_key=True).filter(
        pk=job.pk, state__in=IN_DOUBT, slurm_job_id=job.slurm_job_id, attempts=job.attempts
    )
    cancel = row.values_list("cancel_requested_at").first()
    if cancel is None:
        return False
    job.cancel_requested_at = cancel[0]
    return True


def _end(job: Job, state: str, reason: str) -> None:
    never_there = {"slurm_job_id": None, "slurm_submit_at": None} if state == Job.State.REFUSED else {}
    Job.objects.filter(pk=job.pk).update(
        state=state, reason=reason, denied_since=None, looked_at=None, updated_at=now(), **never_there
    )
    actor = f"worker:cluster.{job.cluster.name}"
    runs_void(job.runs.all(), reason=f"job {job.pk}: {state}", actor=actor, state=state)


def _request(job: Job, after: str = "") -> SubmitRequest:
    return SubmitRequest(
        key=job.pk,
        unix_account=job.unix_account,
        account=account_name(job.cluster, job.allocation.project.slug),
        qos=job.qos,
        partition=job.partition,
        name=job.name,
        script=job.script,
        nodes=job.nodes,
        gpu_type=job.gpu_type,
        gpus_per_node=job.gpus_per_node,
        time_limit_s=job.time_limit_s,
        cpus_per_node=job.cpus_per_node,
        reservation=job.reservation,
        array=job.array,
        dependency=after,
        checkpoint_lead_s=job.checkpoint_lead_s,
    )


def _claims_check(claims: dict[int, Job], adapter: ClusterAdapter) -> None:
    """sbatch's numbers are claims: it ran under the researcher's uid. A job is what squeue shows to the worker."""
    try:
        lines = {number_of(line): line for line in adapter.queue(job_ids=list(claims))}
    except ClusterError as error:
        for claimed, job in claims.items():
            _unknown(job, portal_reason("unconfirmed", claimed=claimed), detail=str(error))
        return
    shown = {number: job for number, job in claims.items() if number in lines and wanted(job).fits(lines[number])}
    for claimed, job in claims.items():
        if claimed not in shown:
            _unknown(job, portal_reason("unconfirmed", claimed=claimed), detail="squeue shows no such job of ours")
    jobs_bind({job.pk: lines[number] for number, job in shown.items()})
    faults.reach("after_commit")


def _refused(job: Job, refusal: SubmissionRefused) -> None:
    tried_for_s, why = TRIED_AGAIN.get(refusal.code, (0, ""))
    assert job.attempted_at is not None
    if now() - job.attempted_at > timedelta(seconds=tried_for_s):
        job_end_unsubmitted(job, state=Job.State.REFUSED, reason=slurm_reason(refusal.code, refusal.message))
    else:
        job_requeue(job, reason=portal_reason(why))


def _unknown(job: Job, reason: str, *, detail: str) -> None:
    logger.warning("job %s: %s: %s", job.pk, reason, detail)
    Job.objects.filter(pk=job.pk, state=Job.State.SUBMITTING, attempts=job.attempts).update(
        state=Job.State.UNKNOWN, reason=reason, updated_at=now()
    )


def cancel(job: Job, *, adapter: ClusterAdapter) -> None:
    """Cancels a bound job as its owner, if it is still the one that carries the number. Raises ClusterError."""
    assert job.slurm_job_id is not None
    runs = set(job.runs.values_list("submit_at", flat=True)) | {job.slurm_submit_at}
    faults.reach("cancel_before")
    # Numbers are given away again when slurmctld loses a job: never cancel by number alone.
    for line in adapter.queue(job_ids=[job.slurm_job_id]):
        if line.user == job.unix_account and (line.submit_at in runs or line.restarts or line.array_job_id):
            adapter.cancel(job_id=job.slurm_job_id, unix_account=job.unix_account)
            faults.reach("cancel_after_slurm")
            return
