"""Jobs that Slurm holds by itself: an operator sees and releases them. On a real Slurm: test_real_left_held.py."""

from datetime import timedelta

import pytest
from django.urls import reverse

from portal.clock import now
from portal.outbox.models import Message
from scheduler.clusters.adapters.protocol import ClusterError, ClusterUnreachable
from scheduler.jobs.chaining import Chaining
from scheduler.jobs.errors import VerbImpossible
from scheduler.jobs.models import Job, Order, SlurmHold
from scheduler.jobs.orders.carrying import carry_out
from scheduler.jobs.orders.verbs import job_free, job_order
from scheduler.jobs.orders.words import order_words
from scheduler.jobs.services import job_cancel
from scheduler.jobs.states import is_left_held
from scheduler.settlement.models import HeldJob
from tests.scheduler.jobs.makers import submit
from tests.scheduler.jobs.stepping import attempt, cycle

pytestmark = pytest.mark.django_db
LAUNCH_FAILED = "launch failed requeued held"


@pytest.fixture
def held(job, slurm) -> Job:
    attempt(job, slurm)
    slurm.change(job.slurm_job_id, reason=LAUNCH_FAILED, restarts=1)
    return cycle(job, slurm)


def done(order: Order, slurm) -> Order:
    carry_out(order_id=order.pk, adapter=slurm)
    order.refresh_from_db()
    return order


@pytest.mark.parametrize(
    ("state", "reason", "left"),
    [
        ("PENDING", LAUNCH_FAILED, True),
        ("PENDING", "job_requeued_in_held_state", True),
        ("PENDING", "JobHeldAdmin", True),
        ("PENDING", "JobHoldMaxRequeue", True),
        ("REQUEUE_HOLD", "None", True),
        ("SPECIAL_EXIT", "NonZeroExitCode", True),
        ("PENDING", "JobHeldUser", False),
        ("PENDING", "Resources", False),
        ("RUNNING", LAUNCH_FAILED, False),
    ],
)
def test_which_jobs_slurm_leaves_to_people(state, reason, left):
    assert is_left_held(state, reason) is left


def test_it_is_noted_for_as_long_as_slurm_holds_it(held, slurm):
    hold = SlurmHold.objects.get(job=held)
    SlurmHold.objects.update(since=hold.since - timedelta(hours=2))
    cycle(held, slurm)
    assert SlurmHold.objects.get().since == hold.since - timedelta(hours=2)
    slurm.change(held.slurm_job_id, reason="JobHeldAdmin")
    cycle(held, slurm)
    assert SlurmHold.objects.get().since > hold.since - timedelta(hours=2)
    slurm.start(held.slurm_job_id)
    cycle(held, slurm)
    assert not SlurmHold.objects.exists()


def test_what_waits_for_gpu_hours_is_the_portals_own_hold(held, slurm, cluster):
    HeldJob.objects.create(job=held, cluster=cluster, why=HeldJob.Why.REQUEUED, since=now())
    slurm.change(held.slurm_job_id, reason="JobHeldAdmin")
    cycle(held, slurm)
    assert not SlurmHold.objects.exists()


def test_an_arrays_held_task_is_seen_beside_one_that_runs(submitter, allocation, slurm, operator):
    array = attempt(submit(submitter, allocation, chaining=Chaining(array="0-1")), slurm)
    number = array.slurm_job_id
    slurm.change(number, array_job_id=number, array_tasks="0", state="RUNNING", start_at=now())
    slurm.accept(slurm.requests[-1], array_job_id=number, array_tasks="1", reason=LAUNCH_FAILED)
    slurm.change(slurm.next_id, submit_at=slurm.jobs[number].submit_at)
    assert cycle(array, slurm).state == Job.State.RUNNING
    assert SlurmHold.objects.get().job == array


def test_an_operator_releases_it_once(held, slurm, operator, client_of):
    client = client_of(operator)
    client.cookies["django_language"] = "en"
    listed = client.get(reverse("jobs:left", args=["local"])).content.decode()
    assert LAUNCH_FAILED in listed
    assert LAUNCH_FAILED in client.get(reverse("jobs:left_card")).content.decode()
    address = reverse("jobs:free", args=[held.pk])
    assert address in listed
    assert address in client.get(reverse("jobs:job", args=[held.pk])).content.decode()
    for _ in range(2):  # twice the same is one order
        assert client.post(address, {"back": "cluster"}).headers["Location"] == reverse(
            "accounts:cluster", args=["local"]
        )
    order = done(Order.objects.get(), slurm)
    assert (order.state, order.person, slurm.jobs[held.slurm_job_id].reason) == ("done", operator, "None")
    assert Message.objects.filter(topic="jobs.order", queue="cluster.local").count() == 1
    assert not SlurmHold.objects.exists()
    assert order_words(order) in client.get(reverse("jobs:job", args=[held.pk])).content.decode()
    assert client.get(reverse("jobs:left_card")).status_code == 204


def test_its_owner_sees_that_it_is_held_and_may_not_release_it(held, submitter, client_of):
    client = client_of(submitter)
    address = reverse("jobs:free", args=[held.pk])
    page = client.get(reverse("jobs:job", args=[held.pk])).content.decode()
    assert "Slurm giữ tác vụ này" in page
    assert address not in page
    assert client.post(address).status_code == 404


def test_what_slurmctld_forgot_is_listed_once_it_is_sure(held, auditor, client_of):
    Job.objects.filter(pk=held.pk).update(state=Job.State.UNKNOWN, reason="portal:runaway", updated_at=now())
    SlurmHold.objects.all().delete()
    client = client_of(auditor)
    assert client.get(reverse("jobs:left_card")).status_code == 204
    Job.objects.filter(pk=held.pk).update(updated_at=now() - timedelta(minutes=3))
    for address in (reverse("jobs:left_card"), reverse("jobs:left", args=["local"])):
        page = client.get(address).content.decode()
        assert reverse("jobs:job", args=[held.pk]) in page
        assert "Tác vụ mà slurmctld đã quên" in page


def test_all_of_a_cluster_are_released_at_once(held, slurm, submitter, allocation, operator, client_of):
    other = attempt(submit(submitter, allocation), slurm)
    slurm.change(other.slurm_job_id, reason="JobHeldAdmin")
    cycle(other, slurm)
    client_of(operator).post(reverse("jobs:all_free", args=["local"]))
    assert set(Order.objects.values_list("job", "verb")) == {(held.pk, "free"), (other.pk, "free")}


def test_what_slurm_does_not_hold_any_more_is_not_asked_for(held, slurm, operator):
    slurm.start(held.slurm_job_id)
    cycle(held, slurm)
    with pytest.raises(VerbImpossible):
        job_free(job_id=held.pk, person=operator)


def test_one_order_at_a_time(held, slurm, operator):
    slurm.change(held.slurm_job_id, reason="Resources")
    order = job_order(job_id=cycle(held, slurm).pk, person=held.person, verb="hold")
    slurm.change(held.slurm_job_id, reason=LAUNCH_FAILED)
    cycle(held, slurm)
    with pytest.raises(VerbImpossible):
        job_free(job_id=held.pk, person=operator)
    assert Order.objects.get() == order


def test_a_cancelled_one_is_nobodys_to_release(held, operator):
    job_cancel(job_id=held.pk, person=operator)
    with pytest.raises(VerbImpossible):
        job_free(job_id=held.pk, person=operator)


def test_it_says_what_came_of_it(held, slurm, operator):
    order = job_free(job_id=held.pk, person=operator)
    slurm.away = True
    with pytest.raises(ClusterUnreachable):
        carry_out(order_id=order.pk, adapter=slurm)
    slurm.away = False
    slurm.on_release = [ClusterError("scontrol release: not now")]
    assert "not now" in order_words(done(order, slurm))
    again = job_free(job_id=held.pk, person=operator)
    slurm.forget(held.slurm_job_id, record_state="CANCELLED")
    assert done(again, slurm).reason == "portal:verb_ended"
