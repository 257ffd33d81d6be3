"""What may be asked of a job in Slurm, and what that means for the hold. On a real one: test_real_verbs.py."""

from datetime import timedelta

import pytest

from portal.clock import now
from portal.outbox.errors import Later
from portal.outbox.models import Message
from quotas.allocations.services import allocation_suspend
from scheduler.clusters.adapters.limits import QosUsage
from scheduler.clusters.adapters.protocol import ClusterUnreachable, VerbRefused
from scheduler.jobs.chaining import Chaining
from scheduler.jobs.durations import duration_text
from scheduler.jobs.errors import VerbImpossible
from scheduler.jobs.models import Job, Order, Run
from scheduler.jobs.orders.carrying import carry_out
from scheduler.jobs.orders.verbs import job_extend, job_order, possible, task_cancel
from scheduler.jobs.orders.words import order_words
from scheduler.jobs.services import job_cancel
from tests.quotas.makers import HOUR, balance
from tests.scheduler.jobs.makers import submit
from tests.scheduler.jobs.stepping import attempt, cycle

pytestmark = pytest.mark.django_db


@pytest.fixture
def waiting(job, slurm) -> Job:
    return attempt(job, slurm)


@pytest.fixture
def running(waiting, slurm) -> Job:
    slurm.start(waiting.slurm_job_id)
    return cycle(waiting, slurm)


def asked(job: Job, verb: str) -> Order:
    return job_order(job_id=job.pk, person=job.person, verb=verb)


def words(call, *args, **named) -> str:
    before = (Order.objects.count(), Message.objects.count(), balance(Job.objects.get().allocation).held)
    with pytest.raises(VerbImpossible) as impossible:
        call(*args, **named)
    assert (Order.objects.count(), Message.objects.count(), balance(Job.objects.get().allocation).held) == before
    return str(impossible.value)


def test_what_is_possible_follows_the_state(waiting, slurm):
    assert possible(waiting).verbs == {"hold"}
    slurm.change(waiting.slurm_job_id, reason="JobHeldUser")
    assert possible(cycle(waiting, slurm)).verbs == {"release"}
    slurm.change(waiting.slurm_job_id, reason="JobHeldAdmin")
    assert possible(cycle(waiting, slurm)).verbs == set()
    slurm.start(waiting.slurm_job_id)
    assert possible(cycle(waiting, slurm)).verbs == {"requeue", "extend"}
    job_cancel(job_id=waiting.pk, person=waiting.person)
    waiting.refresh_from_db()
    assert possible(waiting).verbs == set()


def test_nothing_is_possible_before_slurm_has_it(job):
    assert possible(job).verbs == set()
    assert words(asked, job, "hold")


def test_one_order_at_a_time_and_the_same_one_once(running):
    order = asked(running, "requeue")
    assert asked(running, "requeue") == order
    assert words(job_extend, job_id=running.pk, person=running.person, time_limit_s=2 * HOUR)
    assert possible(running).under_way == order
    assert Message.objects.filter(topic="jobs.order").count() == 1


def test_an_order_and_its_message_are_written_together(waiting):
    order = asked(waiting, "hold")
    message = Message.objects.get(topic="jobs.order")
    assert (message.queue, message.payload) == ("cluster.local", {"order": str(order.pk)})
    assert order_words(order)


def test_a_requeue_needs_a_balance_for_another_run(running, allocation):
    submit(running.person, allocation, gpus_per_node=8, time_limit_s=12 * HOUR)  # 96.1 of 100 GPU-hours
    Run.objects.filter(job=running).update(started_at=now() - timedelta(days=9))  # its whole hold is used
    with pytest.raises(VerbImpossible) as impossible:
        asked(running, "requeue")
    assert str(impossible.value)


# --- more time ----------------------------------------------------------------------------------------------------


def extend(job: Job, hours: float) -> Order:
    return job_extend(job_id=job.pk, person=job.person, time_limit_s=int(hours * HOUR))


def test_the_hold_for_the_new_limit_is_taken_with_the_order(running, allocation):
    order = extend(running, 2)
    assert (order.time_limit_before_s, order.time_limit_s) == (HOUR, 2 * HOUR)
    assert balance(allocation).held == 2 * (2 * HOUR + 60) == Run.objects.get(job=running).held_gpu_seconds
    running.refresh_from_db()
    assert running.time_limit_s == HOUR  # until Slurm has it


def test_what_does_not_fit_is_refused_with_the_longest_that_does(running, allocation):
    assert duration_text(48 * HOUR) in words(extend, running, 60)  # the partition's
    submit(running.person, allocation, gpus_per_node=8, time_limit_s=12 * HOUR)
    longest_s = (balance(allocation).free // 2 + HOUR) // 60 * 60
    with pytest.raises(VerbImpossible) as impossible:
        extend(running, 10)
    assert duration_text(longest_s) in str(impossible.value)
    assert job_extend(job_id=running.pk, person=running.person, time_limit_s=longest_s)


def test_a_shorter_limit_and_a_shut_allocation_are_no_extension(running, allocation, operator):
    assert words(extend, running, 0.5)
    allocation_suspend(allocation_id=allocation.pk, reason="x", actor=operator)
    assert words(extend, running, 2)


class Slurm:
    """What extend asks of Slurm, with a QOS of a known size."""

    def __init__(self, slurm, *, limit_minutes: int | None, reserved_minutes: int = 120) -> None:
        self.slurm, self.limit, self.reserved = slurm, limit_minutes, reserved_minutes
        self.refuses: list[Exception] = []

    def queue(self, *, job_ids=()):
        return self.slurm.queue(job_ids=job_ids)

    def qos_usage(self, names):
        return {name: QosUsage(name, 0, self.limit, 0, self.reserved) for name in names}

    def job_time_limit_set(self, *, job_id: int, time_limit_s: int) -> None:
        if self.refuses:
            raise self.refuses.pop()
        self.reserved += 2 * (time_limit_s - self.slurm.jobs[job_id].time_limit_s) // 60
        self.slurm.change(job_id, time_limit_s=time_limit_s)


def test_an_extension_that_fits_is_made_once(running, slurm, allocation):
    order = extend(running, 2)
    adapter = Slurm(slurm, limit_minutes=6_000)
    for _time in range(2):
        carry_out(order_id=order.pk, adapter=adapter)
    order.refresh_from_db()
    running.refresh_from_db()
    assert (order.state, running.time_limit_s, adapter.reserved) == ("done", 2 * HOUR, 240)
    cycle(running, slurm)
    assert slurm.cancelled == []


@pytest.mark.parametrize("limit_minutes", [120, 239])
def test_one_without_room_in_slurm_gives_its_hold_back(running, slurm, allocation, limit_minutes):
    before = balance(allocation).held
    order = extend(running, 2)
    carry_out(order_id=order.pk, adapter=Slurm(slurm, limit_minutes=limit_minutes))
    order.refresh_from_db()
    longest_s = HOUR + (limit_minutes - 120) // 2 * 60
    assert order.reason == f"portal:extend_no_room longest_s={longest_s} before_s={HOUR}"
    assert balance(allocation).held == before
    assert slurm.jobs[running.slurm_job_id].time_limit_s == HOUR
    assert order_words(order)


def test_an_extension_that_slurm_refuses_or_does_not_hear(running, slurm, allocation):
    before = balance(allocation).held
    order = extend(running, 2)
    adapter = Slurm(slurm, limit_minutes=None)
    adapter.refuses = [VerbRefused("Access/permission denied"), ClusterUnreachable("away")]
    with pytest.raises(ClusterUnreachable):
        carry_out(order_id=order.pk, adapter=adapter)
    assert Order.objects.get().state == "asked"
    carry_out(order_id=order.pk, adapter=adapter)
    order.refresh_from_db()
    assert "Access/permission denied" in order_words(order)
    assert balance(allocation).held == before


def test_an_extension_of_a_run_that_ended_says_so(running, slurm):
    order = extend(running, 2)
    slurm.forget(running.slurm_job_id)
    carry_out(order_id=order.pk, adapter=Slurm(slurm, limit_minutes=None))
    assert Order.objects.get().reason == "portal:verb_ended"


def test_a_limit_that_an_administrator_changed_meanwhile_counts(running, slurm, allocation):
    order = extend(running, 2)
    slurm.change(running.slurm_job_id, time_limit_s=3 * 1_800)
    carry_out(order_id=order.pk, adapter=Slurm(slurm, limit_minutes=None))
    running.refresh_from_db()
    assert Order.objects.get().reason == "portal:extend_changed"
    assert running.time_limit_s == 5_400
    assert balance(allocation).held == 2 * (5_400 + 60)


# --- tasks --------------------------------------------------------------------------------------------------------


def test_only_a_task_that_is_there_and_open_can_be_cancelled(submitter, allocation, slurm):
    job = submit(submitter, allocation, chaining=Chaining(array="0-3"))
    assert words(task_cancel, job_id=job.pk, person=submitter, task=1)  # Slurm has no number for it yet
    attempt(job, slurm)
    assert words(task_cancel, job_id=job.pk, person=submitter, task=4)
    first = task_cancel(job_id=job.pk, person=submitter, task=1)
    assert task_cancel(job_id=job.pk, person=submitter, task=1) == first
    assert task_cancel(job_id=job.pk, person=submitter, task=2) != first
    Run.objects.filter(array_task=3).update(ended_at=now())
    assert words(task_cancel, job_id=job.pk, person=submitter, task=3)


def test_a_plain_job_has_no_tasks_and_an_array_no_single_limit(waiting, submitter, allocation, slurm):
    assert words(task_cancel, job_id=waiting.pk, person=waiting.person, task=0)
    job = submit(submitter, allocation, chaining=Chaining(array="0-3"))
    attempt(job, slurm)
    Job.objects.filter(pk=job.pk).update(state="running")
    job.refresh_from_db()
    assert possible(job).verbs == {"cancel_task"}


def test_a_requeue_that_slurm_is_still_at_is_waited_for(running, slurm):
    order = asked(running, "requeue")
    slurm.change(running.slurm_job_id, state="COMPLETING")
    with pytest.raises(Later):
        carry_out(order_id=order.pk, adapter=slurm)
    assert Order.objects.get().state == "asked"
