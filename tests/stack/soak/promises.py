"""What must hold when all is over, whatever died on the way."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db.models import Sum

from portal.outbox.models import Message
from portal.people.models import Project
from quotas.allocations.models import Allocation
from quotas.allocations.selectors import allocation_balances
from scheduler.accounts.services import plan_make
from scheduler.clusters.adapters import adapter_for
from scheduler.clusters.adapters.protocol import AccountingRecord
from scheduler.clusters.models import Cluster
from scheduler.clusters.names import account_name
from scheduler.jobs.models import Job, Order, Run
from scheduler.jobs.worker.submission import number_of
from scheduler.settlement.charges import job_state
from scheduler.settlement.models import Record
from scheduler.settlement.selectors import uncharged_by_qos
from scheduler.settlement.services.reconciling import counter_gaps
from tests.scheduler.live import LiveSlurm
from tests.stack.conftest import Stack, wait_for
from tests.stack.soak.wishes import Wish

ENDS = {
    "fails": {Job.State.FAILED},
    "array": {Job.State.COMPLETED, Job.State.CANCELLED},  # as its last task: its owner did without one
    "cancelled": {Job.State.CANCELLED},
    "cancelled at once": {Job.State.CANCELLED},
}
LOST, RUNAWAY = "portal:lost", "portal:runaway"
OTHERWISE_MOST = 0.05
GPUS_MOST = 24  # of the largest partition


def runaways_close() -> int:
    """What an operator does, as the portal's page of such a job says: records that slurmctld forgot are ended."""
    said = LiveSlurm().admin("sacctmgr", "-i", "show", "runawayjobs")
    return len(re.findall(r"^\d+", said, re.MULTILINE))


def open_still(sent: dict[UUID, tuple[Wish, datetime]]) -> list[str]:
    """What has not come to its end yet, in words."""
    jobs = Job.objects.filter(pk__in=list(sent), state__in=Job.OPEN_STATES)
    runs = Run.objects.filter(job__in=list(sent), hold_resolved=False).exclude(hold=None).select_related("job")
    left = [f"{job.name}: {job.state} {job.slurm_job_id} {job.reason}" for job in jobs]
    left += [f"{run.job.name}: hold of run {run.job_id_raw} {run.submit_at} {run.state}" for run in runs]
    left += [str(row) for row in Order.objects.filter(job__in=list(sent), state=Order.State.ASKED)]
    left += [f"{row.topic} {row.key}: {row.last_error}" for row in _messages()]
    return left


def _messages():
    return Message.objects.filter(queue="cluster.local", delivered_at=None)


def nobody_is_lost_or_doubled(
    sent: dict[UUID, tuple[Wish, datetime]], places: list[Project], since: datetime
) -> Counter[str]:
    """Each form that was taken is one job, that is one in Slurm, and the portal says of its end what slurmdbd does.

    Returns how many ended otherwise than their people wished, by how: what a node never began because munge died, a
    cancellation that came after the time limit, what slurmctld forgot while it ran.
    """
    jobs = {job.pk: job for job in Job.objects.filter(project__in=places, created_at__gte=since).defer("script")}
    assert set(jobs) == set(sent), "a form was taken twice, or a job came from nowhere"
    assert not [job for job in jobs.values() if job.origin != Job.Origin.PORTAL]
    runs = {(run.job_id_raw, run.submit_at): run for run in Run.objects.filter(job__in=jobs)}
    states: dict[UUID, dict[int, str]] = defaultdict(dict)  # of each job's tasks, as slurmdbd has their last runs
    numbers = [job.slurm_job_id for job in jobs.values() if job.slurm_job_id is not None]
    for record in sorted(_records(places, since, numbers), key=lambda record: record.submit_at):
        run = runs.get((record.job_id_raw, record.submit_at))
        if run is None or not record.is_final:
            # What a killed slurmctld forgot before it had GPUs, as far as slurmdbd had heard of it: without a QOS for
            # ever. The portal may have known its number, and its person may have cancelled it.
            assert record.start_at is None or not record.gpus, f"{record} is nobody's"
            assert run is None or not run.charged_gpu_seconds, run
            continue
        assert number_of(record) == jobs[run.job_id].slurm_job_id, "more than one job in Slurm for one in the portal"
        states[run.job_id][record.job_id_raw] = job_state(record.state)
    unnumbered = _tasks_without_number(jobs)
    otherwise: Counter[str] = Counter()
    for pk, job in jobs.items():
        known = set(states[pk].values()) | unnumbered[pk]
        assert job.state in known or (not known and (job.state == Job.State.CANCELLED or job.reason == LOST)), job.name
        if job.state not in ENDS.get(sent[pk][0].kind, {Job.State.COMPLETED}):
            otherwise[f"{sent[pk][0].kind}: {job.state} {job.reason}".strip()] += 1
    assert otherwise.total() <= max(OTHERWISE_MOST * len(sent), 5), otherwise
    return otherwise


def _tasks_without_number(jobs: Iterable[UUID]) -> dict[UUID, set[str]]:
    """States of tasks that their owners cancelled before Slurm had given them a number: slurmdbd has none of these."""
    found: dict[UUID, set[str]] = defaultdict(set)
    done = Order.objects.filter(job__in=jobs, verb=Order.Verb.CANCEL_TASK, state=Order.State.DONE)
    cancelled = set(done.values_list("job", "task"))
    for run in Run.objects.filter(job__in=jobs, job_id_raw=None, array_task__isnull=False):
        if (run.job_id, run.array_task) in cancelled:
            found[run.job_id].add(run.state)
    return found


def _records(places: list[Project], since: datetime, numbers: list[int]) -> list[AccountingRecord]:
    """By time, so that nobody's are among them, and by number: a killed slurmdbd leaves some in no list by time."""
    cluster = Cluster.objects.get(name="local")
    accounts = {account_name(cluster, place.slug) for place in places}
    slurm = adapter_for("local")
    records = {
        (record.job_id_raw, record.submit_at): record
        for record in (*slurm.records(since=since), *slurm.records(job_ids=numbers))
    }
    return [record for record in records.values() if record.account in accounts and record.submit_at >= since]


def nothing_is_held(places: list[Project]) -> None:
    balances = allocation_balances(list(Allocation.objects.filter(project__in=places).values_list("pk", flat=True)))
    assert [balance.held for balance in balances.values()] == [0] * len(balances)


def counters_are_right(places: list[Project]) -> dict[str, int]:
    """slurmctld's own count reserves nothing any more. What it is below (a kill takes back what it had not saved) the
    limit makes up for: the plan that compares them is empty. Above what was charged it is after restarts at most, by
    less than what ran in one PriorityCalcPeriod, and the reconciliation says so. Returns the gaps."""
    adapter, cluster = adapter_for("local"), Cluster.objects.get(name="local")
    names = list(Allocation.objects.filter(project__in=places).values_list("qos", flat=True))
    charged = dict(
        Record.objects.filter(cluster=cluster, imported=False, qos__in=names)
        .values_list("qos")
        .annotate(sum=Sum("charged_gpu_seconds"))
    )
    uncharged = uncharged_by_qos(cluster)
    usage = adapter.qos_usage(names)
    gaps = {}
    for name in names:
        expected = (charged.get(name) or 0) + uncharged.get(name, 0)
        gaps[name] = expected - usage[name].usage_raw_gpu_seconds
        assert usage[name].running_minutes == 0, name
    above = {name: -gap for name, gap in gaps.items() if gap < 0}
    shown = counter_gaps(cluster, adapter)
    assert {name: -shown.get(name, 0) for name in above} == above
    most = adapter.controller_status().priority_calc_period_s * GPUS_MOST
    assert all(gap < most for gap in above.values()), f"slurmctld counts more GPU-seconds than were charged: {above}"
    return {name: gap for name, gap in gaps.items() if gap}


def is_applied() -> bool:
    """Slurm has what it should have, limits included."""
    return not plan_make(cluster=Cluster.objects.get(name="local")).changes


def books_agree(stack: Stack) -> dict[str, object]:
    found = stack.reconciled()
    assert (found["residual_gpu_seconds"], found["differences"]) == (0, [])
    assert stack.answer("ledger_verify")["ok"]
    assert wait_for(is_applied, 60, 1), stack.answer("cluster_plan", "--cluster", "local")["changes"]
    return found
