"""Records become charges, each once."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quotas.allocations.selectors import allocation_balances
from quotas.proposals.models import Proposal
from quotas.proposals.services import proposal_approve
from scheduler.jobs.models import Job, Run
from scheduler.settlement.models import HeldJob, Record
from scheduler.settlement.services import outside_cover, settle
from tests.quotas import makers
from tests.scheduler.settlement.conftest import NOON

pytestmark = pytest.mark.django_db


def test_a_record_is_charged_once_however_often_it_is_read(cluster, record_of, balance):
    first = settle(cluster=cluster, records=[record_of(1), record_of(1)])
    again = settle(cluster=cluster, records=[record_of(1)])
    assert (first.charged, first.charged_gpu_seconds) == (1, 60)
    assert (again.charged, again.unchanged) == (0, 1)
    assert balance().consumed == 60


def test_a_portal_job_posts_its_hold_and_frees_the_rest(cluster, record_of, portal_job, balance):
    run = portal_job(1, held=120)
    settle(cluster=cluster, records=[record_of(1, elapsed_s=50)])
    run.refresh_from_db()
    assert (run.charged_gpu_seconds, run.overrun_gpu_seconds, run.hold_resolved, run.state) == (
        50,
        0,
        True,
        "completed",
    )
    assert (balance().held, balance().consumed) == (0, 50)
    assert run.job.__class__.objects.get().state == Job.State.COMPLETED


@pytest.mark.parametrize(
    ("reason", "left"),
    [
        ("Priority", ""),
        ("portal:runaway", ""),
        ("portal:never", "portal:never"),
        ("portal:chain_done runs=2", "portal:chain_done runs=2"),
        ("portal:ended", "portal:ended"),
    ],
)
def test_why_a_job_waited_goes_with_its_end_and_why_it_ended_stays(cluster, record_of, portal_job, reason, left):
    Job.objects.filter(pk=portal_job(1).job_id).update(reason=reason)
    settle(cluster=cluster, records=[record_of(1)])
    assert Job.objects.get().reason == left


@pytest.mark.parametrize("together", [True, False])
def test_a_requeued_job_that_is_cancelled_while_it_waits_has_ended(cluster, record_of, portal_job, balance, together):
    portal_job(1)
    put_back = record_of(1, elapsed_s=0, state="REQUEUED")
    again = NOON + timedelta(seconds=6)
    cancelled = record_of(1, submit_at=again, elapsed_s=0, state="CANCELLED", gpus={}, start_at=None)
    for records in ([put_back, cancelled],) if together else ([put_back], [cancelled]):
        settle(cluster=cluster, records=records)
    assert (Job.objects.get().state, balance().held) == (Job.State.CANCELLED, 0)


def test_an_excess_comes_from_the_free_balance_and_only_the_rest_is_overrun(cluster, record_of, portal_job, balance):
    run = portal_job(1, held=120)
    settle(cluster=cluster, records=[record_of(1, elapsed_s=100_050)])
    run.refresh_from_db()
    assert (run.charged_gpu_seconds, run.overrun_gpu_seconds) == (100_050, 50)
    assert (balance().consumed, balance().overrun, balance().free) == (100_050, 50, 0)
    assert Record.objects.get().overrun_gpu_seconds == 50


def test_a_job_cancelled_before_its_start_gives_its_hold_back(cluster, record_of, portal_job, balance):
    run = portal_job(1)
    cancelled = record_of(1, elapsed_s=0, state="CANCELLED", gpus={}, start_at=None)
    done = settle(cluster=cluster, records=[cancelled])
    run.refresh_from_db()
    assert (done.voided, run.hold_resolved, run.state, run.charged_gpu_seconds) == (1, True, "cancelled", 0)
    assert (balance().held, balance().consumed) == (0, 0)


def test_an_unfinished_record_is_kept_and_not_charged(cluster, record_of, balance):
    running = record_of(1, state="RUNNING", end_at=None)
    settle(cluster=cluster, records=[running])
    assert (Record.objects.get().is_final, balance().consumed) == (False, 0)
    settle(cluster=cluster, records=[record_of(1)])
    assert (Record.objects.get().is_final, balance().consumed) == (True, 60)


def test_a_finished_record_never_becomes_unfinished(cluster, record_of, balance):
    settle(cluster=cluster, records=[record_of(1)])
    settle(cluster=cluster, records=[record_of(1, state="RUNNING", end_at=None, elapsed_s=5)])
    assert (Record.objects.get().is_final, balance().consumed) == (True, 60)


@pytest.mark.parametrize("elapsed_s", [10, 90, 0])
def test_a_finished_record_that_changed_is_corrected_once_per_change(cluster, record_of, balance, elapsed_s):
    settle(cluster=cluster, records=[record_of(1)])
    changed = record_of(1, elapsed_s=elapsed_s)
    assert settle(cluster=cluster, records=[changed]).corrected == 1
    assert settle(cluster=cluster, records=[changed]).corrected == 0
    assert balance().consumed == elapsed_s
    settle(cluster=cluster, records=[record_of(1)])
    assert balance().consumed == 60
    assert Record.objects.get().revision == 2


def test_a_charge_of_zero_that_becomes_more_is_a_charge(cluster, record_of, balance):
    settle(cluster=cluster, records=[record_of(1, elapsed_s=0)])
    settle(cluster=cluster, records=[record_of(1, elapsed_s=7)])
    assert (balance().consumed, Record.objects.get().revision) == (7, 0)


def test_records_of_other_accounts_are_ignored_and_counted(cluster, record_of):
    done = settle(cluster=cluster, records=[record_of(1, account="physics"), record_of(2)])
    assert (done.read, done.ignored, done.charged) == (2, 1, 1)


def test_a_job_from_outside_gets_a_row_for_its_owner(cluster, record_of, researcher, allocation):
    settle(cluster=cluster, records=[record_of(9, user="minh", name="thử\tnghiệm")])
    job = Job.objects.get()
    assert (job.origin, job.person, job.allocation, job.slurm_job_id) == ("outside", researcher, allocation, 9)
    assert (job.state, job.name, job.runs.get().charged_gpu_seconds) == ("completed", "thửnghiệm", 60)


def test_untyped_gpus_count_as_the_partitions(cluster, record_of, balance):
    settle(cluster=cluster, records=[record_of(1, gpus={"gpu": 2})])
    assert (Record.objects.get().gpu_type, balance().consumed) == ("h100", 120)


def test_another_qos_is_charged_to_the_projects_allocation_of_that_type(cluster, record_of, balance):
    settle(cluster=cluster, records=[record_of(1, qos="normal")])
    assert balance().consumed == 60


def test_a_record_whose_qos_is_not_known_yet_is_read_again(cluster, record_of, balance):
    done = settle(cluster=cluster, records=[record_of(1, qos="", is_qos_pending=True)])
    assert (done.early, Record.objects.count(), Job.objects.count()) == (1, 0, 0)
    settle(cluster=cluster, records=[record_of(1)])
    assert balance().consumed == 60


def test_a_record_whose_qos_never_becomes_known_is_charged_where_its_run_was_seen(
    cluster, record_of, queued_as, balance, project, programme
):
    from tests.quotas import makers

    outside_cover(cluster=cluster, queue=[queued_as(1)])
    younger = makers.award(project, programme, gpu_seconds=1_000)
    settle(cluster=cluster, records=[record_of(1, qos="")])
    assert (balance().consumed, balance().held) == (60, 0)
    assert allocation_balances([younger.pk])[younger.pk].consumed == 0


def test_what_no_allocation_can_bear_is_kept_uncharged(cluster, record_of, balance):
    done = settle(cluster=cluster, records=[record_of(1, qos="normal", gpus={"h200": 1}, partition="h200")])
    record = Record.objects.get()
    assert (done.charged, record.allocation, record.gpu_seconds, record.charged_gpu_seconds) == (0, None, 60, 0)
    assert balance().consumed == 0


def test_an_array_is_one_job_with_a_run_for_each_task(cluster, record_of, balance):
    records = [
        record_of(11, display="10_1"),
        record_of(12, display="10_2", state="FAILED"),
        record_of(10, display="10_3", elapsed_s=5),
    ]
    settle(cluster=cluster, records=records)
    job = Job.objects.get()
    assert (job.slurm_job_id, job.state, balance().consumed) == (10, "failed", 125)
    assert list(job.runs.order_by("array_task").values_list("array_task", "job_id_raw")) == [(1, 11), (2, 12), (3, 10)]


def test_a_requeued_run_and_the_next_read_together_leave_no_hold(cluster, record_of, portal_job, balance):
    run = portal_job(1, held=120)
    again = NOON + timedelta(seconds=65)
    next_run = record_of(1, submit_at=again, elapsed_s=3)
    settle(cluster=cluster, records=[record_of(1, state="REQUEUED"), next_run])
    assert [row.charged_gpu_seconds for row in Run.objects.filter(job=run.job)] == [60, 3]
    assert (balance().held, balance().consumed) == (0, 63)
    assert Job.objects.get().state == Job.State.COMPLETED


@pytest.mark.parametrize("comes", ["running", "ended"])
def test_a_next_run_that_slurmdbd_shows_before_the_requeue_is_the_job_s_own(
    cluster, record_of, portal_job, balance, comes
):
    """After slurmdbd was away, what it was told comes in parts: of the next run first its start, or its end with the
    comment, and only then the end of the run before."""
    run = portal_job(1, held=120)
    again = NOON + timedelta(seconds=65)
    early = {"comment": ""} | ({"state": "RUNNING", "end_at": None, "gpus": {}} if comes == "running" else {})
    if comes == "ended":
        early["comment"] = str(run.job_id)
    settle(cluster=cluster, records=[record_of(1, submit_at=again, elapsed_s=3, **early)])
    whole = record_of(1, submit_at=again, elapsed_s=3, comment=str(run.job_id))
    settle(cluster=cluster, records=[record_of(1, state="REQUEUED"), whole])
    assert [row.charged_gpu_seconds for row in Run.objects.filter(job=run.job).order_by("submit_at")] == [60, 3]
    assert (balance().held, balance().consumed) == (0, 63)
    assert Job.objects.get().state == Job.State.COMPLETED


def test_two_runs_of_a_requeued_job_are_charged_apart(cluster, record_of, balance):
    later = NOON + timedelta(seconds=70)
    first = record_of(1, elapsed_s=20, state="REQUEUED")
    settle(cluster=cluster, records=[first, record_of(1, elapsed_s=30, submit_at=later)])
    assert balance().consumed == 50
    assert Job.objects.get().runs.count() == 2
    assert Job.objects.get().state == Job.State.COMPLETED


def test_a_requeued_portal_job_takes_its_next_hold_with_the_charge(cluster, record_of, queued_as, portal_job, balance):
    run = portal_job(1, held=120)
    later = NOON + timedelta(seconds=40)
    waiting = queued_as(1, submit_at=later, state="PENDING", reason="BeginTime", restarts=1)
    done = settle(cluster=cluster, records=[record_of(1, elapsed_s=20, state="REQUEUED")], queue=[waiting])
    assert done.requeued == 1
    following = Run.objects.exclude(pk=run.pk).get()
    assert (following.job_id, following.held_gpu_seconds, following.hold_resolved) == (run.job_id, 120, False)
    assert (balance().held, balance().consumed) == (120, 20)
    settle(cluster=cluster, records=[record_of(1, elapsed_s=30, submit_at=later)])
    following.refresh_from_db()
    assert (following.submit_at, following.charged_gpu_seconds) == (later, 30)
    assert (balance().held, balance().consumed) == (0, 50)
    assert not HeldJob.objects.exists()


def test_a_requeue_that_the_balance_does_not_reach_is_held_in_slurm(
    cluster, record_of, portal_job, allocation, balance
):
    portal_job(1, held=120)
    settle(cluster=cluster, records=[record_of(2, elapsed_s=99_800)])
    settle(cluster=cluster, records=[record_of(1, elapsed_s=110, state="REQUEUED")])
    held = HeldJob.objects.get()
    assert (held.why, held.job.slurm_job_id, balance().held, balance().free) == ("requeued", 1, 0, 90)


def test_a_job_that_ran_in_another_allocation_is_charged_there(
    cluster, record_of, portal_job, balance, project, programme
):
    from tests.quotas import makers

    other = makers.award(project, programme, gpu_seconds=1_000)
    run = portal_job(1, held=120)
    settle(cluster=cluster, records=[record_of(1, qos=other.qos)])
    run.refresh_from_db()
    assert (run.hold_resolved, run.charged_gpu_seconds, run.job.allocation_id) == (True, 60, other.pk)
    assert (balance().held, balance().consumed) == (0, 0)
    assert allocation_balances([other.pk])[other.pk].consumed == 60


def test_a_number_given_away_again_is_another_job(cluster, record_of):
    later = NOON + timedelta(hours=1)
    settle(cluster=cluster, records=[record_of(1), record_of(1, submit_at=later, user="hoa")])
    assert Job.objects.count() == 2


def test_numbers_that_wrap_make_new_jobs_of_the_same_person(cluster, record_of, balance):
    year = timedelta(days=365)
    settle(
        cluster=cluster, records=[record_of(1, state="REQUEUED"), record_of(1, submit_at=NOON + timedelta(seconds=65))]
    )
    settle(cluster=cluster, records=[record_of(1, submit_at=NOON + year)])
    assert sorted(job.runs.count() for job in Job.objects.all()) == [1, 2]
    assert balance().consumed == 180


def test_an_array_with_the_number_of_an_old_one_is_another_job(cluster, record_of):
    later = NOON + timedelta(days=365)
    settle(cluster=cluster, records=[record_of(11, display="10_1"), record_of(10, display="10_2")])
    settle(
        cluster=cluster,
        records=[record_of(11, display="10_1", submit_at=later), record_of(10, display="10_2", submit_at=later)],
    )
    assert sorted(Job.objects.values_list("slurm_job_id", "slurm_submit_at")) == [(10, NOON), (10, later)]
    assert [job.runs.count() for job in Job.objects.all()] == [2, 2]


def test_a_node_failure_and_a_new_job_with_its_number_are_no_requeue(
    cluster, record_of, queued_as, portal_job, balance
):
    portal_job(1, held=120)
    new = queued_as(1, submit_at=NOON + timedelta(days=300), state="PENDING", restarts=0)
    done = settle(cluster=cluster, records=[record_of(1, elapsed_s=20, state="NODE_FAIL")], queue=[new])
    assert (done.requeued, balance().held, Run.objects.count()) == (0, 0, 1)


def test_each_component_of_a_heterogeneous_job_is_charged(cluster, record_of, balance):
    parts = [
        record_of(12, display="12+0", gpus={"h100": 1}),
        record_of(13, display="12+1", gpus={"h100": 4}, elapsed_s=50),
    ]
    settle(cluster=cluster, records=parts)
    assert balance().consumed == 60 + 200
    assert sorted(Job.objects.values_list("slurm_job_id", flat=True)) == [12, 13]


def test_a_record_of_somebody_who_is_gone_is_charged_and_shown(cluster, record_of, researcher, balance):
    researcher.is_active = False
    researcher.save()
    settle(cluster=cluster, records=[record_of(1, user="gone-long-ago"), record_of(2)])
    assert balance().consumed == 120
    assert set(Job.objects.values_list("unix_account", "person")) == {("gone-long-ago", None), ("minh", researcher.pk)}


def test_a_job_that_is_being_looked_for_is_left_to_the_jobs_app(cluster, record_of, portal_job, balance):
    run = portal_job(1)
    Run.objects.update(job_id_raw=None, submit_at=None)
    Job.objects.update(state=Job.State.UNKNOWN, slurm_job_id=None, slurm_submit_at=None)
    settle(cluster=cluster, records=[record_of(1, comment=str(run.job_id))])
    assert (Job.objects.count(), Record.objects.count(), balance().consumed) == (1, 0, 0)
    # Somebody else who writes that comment on a job of his own is charged like everybody.
    settle(cluster=cluster, records=[record_of(2, comment=str(run.job_id), user="hoa")])
    assert balance().consumed == 60


def test_one_bad_record_does_not_stop_the_others(cluster, record_of, balance, caplog):
    bad = replace(record_of(2), elapsed_s=2**64)
    done = settle(cluster=cluster, records=[record_of(1), bad, record_of(3)])
    assert (done.charged, done.failed) == (2, ["2"])
    assert balance().consumed == 120
    assert "job 2 could not be settled" in caplog.text


def test_many_records_cost_few_queries_and_the_same_window_again_still_fewer(cluster, record_of):
    records = [record_of(number) for number in range(1, 201)]
    with CaptureQueriesContext(connection) as queries:
        assert settle(cluster=cluster, records=records).charged == 200
    assert len(queries) < 40
    with CaptureQueriesContext(connection) as queries:
        done = settle(cluster=cluster, records=records)
    assert done.unchanged == 200
    assert len(queries) < 12


RUNS = st.lists(
    st.tuples(
        st.integers(1, 4),  # job
        st.integers(0, 2),  # its n-th run
        st.integers(0, 50),  # seconds that it ran
        st.sampled_from(["COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "REQUEUED", "NODE_FAIL"]),
        st.sampled_from([{"h100": 1}, {"h100": 8}, {"gpu": 2}, {}]),
    ),
    max_size=8,
    unique_by=lambda run: run[:2],
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(RUNS, st.data())
def test_any_order_repetition_and_delay_gives_the_same_charges(cluster, record_of, allocation, balance, runs, data):
    from django.db import transaction

    finals = [
        record_of(job, submit_at=NOON + timedelta(minutes=run), elapsed_s=elapsed_s, state=state, gpus=gpus)
        for job, run, elapsed_s, state, gpus in runs
    ]
    unfinished = [replace(record, state="RUNNING", end_at=None, elapsed_s=record.elapsed_s // 2) for record in finals]
    readings = data.draw(st.permutations(finals + unfinished)) if finals else []
    cut = data.draw(st.integers(0, len(readings)))
    with transaction.atomic():
        settle(cluster=cluster, records=readings[:cut])
        settle(cluster=cluster, records=readings[cut:])
        settle(cluster=cluster, records=data.draw(st.permutations(finals)) if finals else [])
        expected = {(r.job_id_raw, r.submit_at): sum(r.gpus.values()) * r.elapsed_s for r in finals}
        stored = Record.objects.values_list("job_id_raw", "submit_at", "charged_gpu_seconds")
        assert {(job, at): charged for job, at, charged in stored} == expected
        assert balance().consumed == sum(expected.values())
        assert balance().held == 0
        assert not Run.objects.filter(hold_resolved=False, ended_at__isnull=False).exists()
        transaction.set_rollback(True)


def test_a_failed_node_proposes_a_refund_once_and_gives_nothing_back_by_itself(cluster, record_of, portal_job, balance):
    portal_job(1, held=120)
    failed = record_of(1, elapsed_s=50, state="NODE_FAIL")
    settle(cluster=cluster, records=[failed])
    settle(cluster=cluster, records=[failed])
    proposal = Proposal.objects.get(kind="refund")
    assert (proposal.state, proposal.facts["gpu_seconds"]) == ("waiting", 50)
    assert proposal.proposed_by_process == "worker:cluster.local"
    assert balance().consumed == 50
    proposal_approve(proposal=proposal, person=makers.decider())
    assert balance().consumed == 0
