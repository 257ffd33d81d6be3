"""Hold, release, requeue, more time, arrays, dependencies and chains on the test stack's real Slurm, settled."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from django.db import connections

from portal.clock import now
from quotas.allocations.services import hold_take
from quotas.ledger.models import Transfer
from scheduler.clusters.adapters.protocol import QueueJob
from scheduler.jobs.chaining import After, Chaining
from scheduler.jobs.durations import duration_text
from scheduler.jobs.errors import VerbImpossible
from scheduler.jobs.models import Job, Order, Run
from scheduler.jobs.orders.extending import extend
from scheduler.jobs.orders.verbs import job_extend, job_order, task_cancel
from scheduler.jobs.services import job_cancel
from scheduler.settlement.models import Record
from tests.quotas.makers import balance
from tests.scheduler.jobs.makers import submit
from tests.scheduler.jobs.real import HOUR, Real, place_in_slurm
from tests.scheduler.live import LiveSlurm, wait_for
from tests.scheduler.settlement.turning import deliver, turn, turn_until

pytestmark = [pytest.mark.slurm, pytest.mark.django_db(transaction=True)]

SLEEP = "#!/bin/bash\nsleep 600\n"
LATER = "#!/bin/bash\n#SBATCH --begin=now+1hour\ntrue\n"
GPU_HOURS = 2


@pytest.fixture(scope="module")
def place():
    with place_in_slurm(researcher=3, gpu_hours=GPU_HOURS) as made:
        yield made


def line_of(real: Real, job: Job) -> QueueJob:
    job.refresh_from_db()
    return next(line for line in real.adapter.queue(job_ids=[job.slurm_job_id]) if line.submit_at is not None)


def running(real: Real, **changes) -> Job:
    job = real.submit(**({"script": SLEEP} | changes))
    turn_until(real, lambda: Run.objects.filter(job=job, state="running").exists())
    job.refresh_from_db()
    return job


def ended(job: Job) -> bool:
    job.refresh_from_db()
    return not job.is_open


def settled(real: Real) -> None:
    """No hold is left, and every GPU-second of slurmdbd's records is charged."""
    assert balance(real.allocation).held == 0
    assert balance(real.allocation).consumed == sum(Record.objects.values_list("gpu_seconds", flat=True))


def test_its_owner_holds_and_releases_a_waiting_job(real):
    job = real.submit(script=LATER)
    turn(real)
    held = balance(real.allocation).held
    order = job_order(job_id=job.pk, person=real.person, verb="hold")
    assert job_order(job_id=job.pk, person=real.person, verb="hold") == order
    with pytest.raises(VerbImpossible):
        job_order(job_id=job.pk, person=real.person, verb="release")
    deliver(real)
    assert line_of(real, job).reason == "JobHeldUser"
    assert job.reason == "JobHeldUser"
    turn(real)  # the cycle leaves it alone: it has its hold
    assert (line_of(real, job).reason, balance(real.allocation).held) == ("JobHeldUser", held)
    job_order(job_id=job.pk, person=real.person, verb="release")
    deliver(real)
    assert line_of(real, job).reason != "JobHeldUser"
    assert set(Order.objects.values_list("verb", "state")) == {("hold", "done"), ("release", "done")}


def test_a_job_that_started_meanwhile_is_not_held_after_its_next_requeue(real):
    job = running(real)
    Job.objects.filter(pk=job.pk).update(state="pending")  # as the page last saw it
    order = job_order(job_id=job.pk, person=real.person, verb="hold")
    real.adapter.control(verb="hold", job_id=job.slurm_job_id, unix_account=job.unix_account)  # it came too late
    deliver(real)
    order.refresh_from_db()
    assert (order.state, order.reason) == ("refused", "portal:verb_started")
    assert line_of(real, job).reason != "JobHeldUser"


def test_a_requeue_charges_the_run_and_takes_the_next_hold(real):
    job = running(real)
    job_order(job_id=job.pk, person=real.person, verb="requeue")
    turn_until(real, lambda: [run.state for run in Run.objects.filter(job=job)] == ["cancelled", "running"])
    first, second = Run.objects.filter(job=job)
    assert first.ended_at is not None
    assert first.charged_gpu_seconds == Record.objects.get(submit_at=first.submit_at).gpu_seconds
    assert (second.hold is not None, second.hold_resolved, second.held_gpu_seconds) == (True, False, 300 + 60)
    assert balance(real.allocation).held == 360
    assert line_of(real, job).restarts == 1
    job_cancel(job_id=job.pk, person=real.person)
    turn_until(real, lambda: ended(job))
    settled(real)


def test_more_time_is_held_for_first_and_read_back(real):
    job = running(real)
    with pytest.raises(VerbImpossible) as impossible:  # with the overshoot it is too much
        job_extend(job_id=job.pk, person=real.person, time_limit_s=GPU_HOURS * HOUR)
    longest_s = (balance(real.allocation).free + 360 - 60) // 60 * 60
    assert duration_text(longest_s) in str(impossible.value)
    assert balance(real.allocation).held == 360
    order = job_extend(job_id=job.pk, person=real.person, time_limit_s=HOUR)
    assert balance(real.allocation).held == HOUR + 60
    turn(real)
    order.refresh_from_db()
    job.refresh_from_db()
    assert (order.state, job.time_limit_s, line_of(real, job).time_limit_s) == ("done", HOUR, HOUR)
    assert balance(real.allocation).held == HOUR + 60
    job_cancel(job_id=job.pk, person=real.person)
    turn_until(real, lambda: ended(job))
    settled(real)


class SbatchFirst:
    """The real Slurm, in which somebody's plain sbatch starts right before the limit is changed."""

    def __init__(self, real: Real, place) -> None:
        self.real, self.place = real, place

    def __getattr__(self, name):
        return getattr(self.real.adapter, name)

    def job_time_limit_set(self, *, job_id: int, time_limit_s: int) -> None:
        if time_limit_s > 600:
            plain_sbatch(self.place, minutes=90, waits_until_it_runs=self.real)
        self.real.adapter.job_time_limit_set(job_id=job_id, time_limit_s=time_limit_s)


def plain_sbatch(place, *, minutes: int, waits_until_it_runs: Real | None = None) -> int:
    options = [f"--account={place.account}", f"--qos={place.qos}", "--partition=h100", "--gres=gpu:h100:1"]
    answer = LiveSlurm().sbatch(place.researcher, *options, f"--time={minutes}", script="#!/bin/sh\nsleep 600\n")
    assert answer.code == 0, answer
    number = int(answer.out)
    if waits_until_it_runs:
        wait_for("sbatch", lambda: waits_until_it_runs.adapter.queue(job_ids=[number])[0].state == "RUNNING")
    return number


def room_minutes(real: Real) -> int:
    usage = real.adapter.qos_usage([real.allocation.qos])[real.allocation.qos]
    return usage.limit_minutes - usage.used_minutes - usage.running_minutes


def test_an_extension_is_undone_where_a_plain_sbatch_was_quicker(real, place):
    job = running(real)
    order = job_extend(job_id=job.pk, person=real.person, time_limit_s=HOUR)
    extend(order, SbatchFirst(real, place))
    order.refresh_from_db()
    job.refresh_from_db()
    assert order.state == "refused"
    assert order.reason.startswith("portal:extend_no_room longest_s=")
    longest_s = int(order.reason.split("longest_s=")[1].split()[0])
    assert 300 < longest_s <= 31 * 60  # both are whole minutes: one may have begun in between
    assert (line_of(real, job).time_limit_s, job.time_limit_s) == (300, 300)
    assert balance(real.allocation).held == 360
    assert room_minutes(real) >= 0
    # What was named does fit, until somebody else is quicker again.
    again = job_extend(job_id=job.pk, person=real.person, time_limit_s=longest_s)
    deliver(real)
    again.refresh_from_db()
    assert again.state == "done", again.reason


def test_extensions_and_plain_sbatch_at_once_never_reserve_more_than_the_limit(real, place):
    job = running(real)
    for _round in range(3):
        order = job_extend(job_id=job.pk, person=real.person, time_limit_s=100 * 60)
        with ThreadPoolExecutor(2) as pool:
            outside = pool.submit(plain_sbatch, place, minutes=60)

            def carry_out() -> None:
                try:
                    deliver(real)
                finally:
                    connections.close_all()

            pool.submit(carry_out).result()
            number = outside.result()
        turn_until(real, lambda: not Order.objects.filter(state="asked").exists())
        order.refresh_from_db()
        states = {line.job_id: line.state for line in real.adapter.queue(job_ids=[number, job.slurm_job_id])}
        both = order.state == "done" and states[number] == "RUNNING"
        assert not both, states
        assert room_minutes(real) >= 0
        real.adapter.job_cancel_as_admin(job_id=str(number), reason="test")
        if order.state == "done":
            real.adapter.job_time_limit_set(job_id=job.slurm_job_id, time_limit_s=300)
            Job.objects.filter(pk=job.pk).update(time_limit_s=300)
        turn_until(real, lambda: len([line for line in real.adapter.queue() if line.qos == real.allocation.qos]) == 1)
        turn_until(real, lambda: not Run.objects.exclude(job=job).filter(ended_at=None).exists())  # nor a hold of its


def test_the_tasks_of_an_array_are_held_for_together_and_settle_each_by_its_record(real):
    script = "#!/bin/bash\nsleep 1\nexit $((SLURM_ARRAY_TASK_ID == 3))\n"
    job = real.submit(script=script, chaining=Chaining(array="0-4%2"), time_limit_s=120)
    assert balance(real.allocation).held == 5 * (120 + 60)
    turn_until(real, lambda: ended(job), within_s=90)
    assert job.state == "failed"  # one of them did
    runs = Run.objects.filter(job=job).order_by("array_task")
    assert [(run.array_task, run.state) for run in runs] == [
        *((task, "completed") for task in range(3)),
        (3, "failed"),
        (4, "completed"),
    ]
    assert len({run.job_id_raw for run in runs}) == 5
    settled(real)
    logs = {path.name for path in (real.home / "saola/jobs" / str(job.pk)).iterdir()}
    assert logs == {f"slurm-{run.job_id_raw}.out" for run in runs}


def test_one_task_or_all_of_an_array_are_cancelled(real):
    job = real.submit(script=SLEEP, chaining=Chaining(array="0-9%2"), time_limit_s=120)
    turn_until(real, lambda: Run.objects.filter(job=job, state="running").count() == 2)
    each = 120 + 60
    assert balance(real.allocation).held == 10 * each
    waiting = task_cancel(job_id=job.pk, person=real.person, task=7)
    begun = task_cancel(job_id=job.pk, person=real.person, task=0)
    deliver(real)
    turn_until(real, lambda: not Order.objects.filter(state="asked").exists())
    assert {Order.objects.get(pk=order.pk).state for order in (waiting, begun)} == {"done"}
    turn_until(real, lambda: Run.objects.filter(job=job, ended_at__isnull=False).count() == 2)
    assert set(Run.objects.filter(job=job, state="cancelled").values_list("array_task", flat=True)) == {0, 7}
    assert balance(real.allocation).held == 8 * each
    job_cancel(job_id=job.pk, person=real.person)
    turn_until(real, lambda: ended(job))
    assert job.state == "cancelled"
    assert not Run.objects.filter(job=job, ended_at=None).exists()
    settled(real)


def test_a_task_that_was_cancelled_by_hand_before_it_had_a_number_gives_its_hold_back(real, monkeypatch):
    monkeypatch.setattr("scheduler.settlement.services.reading.GONE_AFTER", now() - now())
    job = real.submit(script="#!/bin/bash\nsleep 2\n", chaining=Chaining(array="0-2%1"), time_limit_s=120)
    real.adapter.cancel(job_id=job.slurm_job_id, unix_account=job.unix_account, task=1)
    turn_until(real, lambda: ended(job))
    assert dict(Run.objects.filter(job=job).values_list("array_task", "state")) == {
        0: "completed",
        1: "cancelled",
        2: "completed",
    }
    settled(real)


def test_jobs_start_after_others_or_say_why_they_never_will(real):
    first = real.submit(script="#!/bin/bash\nsleep 3\nexit 3\n", name="first")
    after = {
        name: submit(
            real.person,
            real.allocation,
            name=name,
            gpus_per_node=1,
            time_limit_s=300,
            script="#!/bin/bash\ntrue\n",
            chaining=Chaining(after=(After(job=first.pk, kind=kind),), keeps_unsatisfied=keeps),
        )
        for name, kind, keeps in [
            ("ok", "afterok", False),
            ("ok kept", "afterok", True),
            ("not ok", "afternotok", False),
            ("any", "afterany", False),
        ]
    }
    turn_until(
        real,
        lambda: (
            all(ended(after[name]) for name in ("ok", "not ok", "any"))
            and Job.objects.get(pk=after["ok kept"].pk).reason == "DependencyNeverSatisfied"
        ),
        within_s=90,
    )
    assert (after["ok"].state, after["ok"].reason) == ("cancelled", "portal:never")
    assert (after["not ok"].state, after["any"].state) == ("completed", "completed")
    assert min(Run.objects.get(job=after["any"]).started_at, Run.objects.get(job=after["not ok"]).started_at) >= (
        Run.objects.get(job=first).ended_at
    )
    late = submit(
        real.person,
        real.allocation,
        name="late",
        time_limit_s=300,
        chaining=Chaining(after=(After(job=first.pk, kind="afterok"),)),
    )
    deliver(real)
    late.refresh_from_db()
    assert (late.state, late.reason, late.slurm_job_id) == ("cancelled", "portal:never", None)
    job_cancel(job_id=after["ok kept"].pk, person=real.person)
    turn_until(real, lambda: ended(after["ok kept"]))
    settled(real)


CHAIN = '#!/bin/bash\nsleep 2\nscontrol requeue "$SLURM_JOB_ID"\nsleep 60\n'


def test_a_chain_has_as_many_runs_as_were_asked_for(real):
    job = real.submit(script=CHAIN, chaining=Chaining(restarts=1, checkpoint_lead_s=60))
    turn_until(real, lambda: ended(job), within_s=120)
    assert (job.state, job.reason) == ("cancelled", "portal:chain_done runs=2")
    first, second, *more = [run.charged_gpu_seconds for run in Run.objects.filter(job=job)]
    assert min(first, second) > 0
    assert sum(more) < 10  # on a loaded machine Slurm may begin another before the cycle takes it out of the queue
    settled(real)


def test_a_chain_ends_where_the_balance_does_not_reach_for_another_run(real):
    job = real.submit(script=CHAIN, chaining=Chaining(restarts=5, checkpoint_lead_s=60))
    turn(real)
    rest = uuid4()
    hold_take(
        allocation_id=real.allocation.pk,
        hold_id=rest,
        amount_gpu_seconds=balance(real.allocation).free,
        event_at=now(),
        reason="others",
        actor="test",
    )
    turn_until(real, lambda: ended(job), within_s=90)
    assert (job.state, job.reason) == ("cancelled", "portal:chain_balance runs=1")
    held = Transfer.objects.get(pk=rest).amount
    assert balance(real.allocation).held == held
    assert balance(real.allocation).consumed == sum(Record.objects.values_list("gpu_seconds", flat=True)) > 0
