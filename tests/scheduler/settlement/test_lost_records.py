"""slurmdbd's records that are purged, lost, turned back, or come late: found, shown, and nothing is invented for them.

The same with slurmdbd's own tables: test_real_records.py.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.urls import reverse

from portal.outbox.models import Message
from quotas.ledger.models import Transfer
from scheduler.clusters.adapters import parse
from scheduler.clusters.adapters.protocol import ClusterError
from scheduler.jobs.models import Job, Run
from scheduler.settlement.errors import MoreMissing
from scheduler.settlement.models import Kept, Reconciliation, Record
from scheduler.settlement.services import missing_keep, reconcile, records_settle, settle
from scheduler.settlement.tasks import missing_keep_asked
from tests.scheduler.settlement.conftest import NOON

pytestmark = pytest.mark.django_db
LATER = NOON + timedelta(days=400)


@pytest.fixture
def charged(cluster, slurm, record_of):
    """Five records of 60 s, a day apart, read long ago."""
    slurm.accounting = [record_of(number, submit_at=NOON + timedelta(days=number)) for number in range(1, 6)]
    settle(cluster=cluster, records=slurm.accounting)
    Record.objects.update(read_at=NOON + timedelta(days=10))
    with time_machine.travel(LATER):
        yield slurm.accounting


@pytest.fixture
def compare(cluster, slurm):
    return lambda: reconcile(cluster=cluster, adapter=slurm)


@pytest.fixture
def read(cluster, slurm):
    return lambda: records_settle(cluster=cluster, adapter=slurm, look=slurm.look())


def kinds(found):
    return [(one["kind"], one["job"]) for one in found.differences]


def test_what_slurmdbd_purges_by_its_configuration_is_no_difference(slurm, charged, compare):
    slurm.purged_before = NOON + timedelta(days=3)
    slurm.accounting = charged[2:]
    found = compare()
    assert (found.residual_gpu_seconds, found.differences, found.missing_records) == (0, [], 0)
    assert (found.purged_records, found.purged_gpu_seconds, found.oldest_at) == (2, 120, charged[2].submit_at)
    assert (found.charged_gpu_seconds, found.slurmdbd_gpu_seconds) == (300, 180)


def test_one_that_is_gone_and_too_young_for_the_purge_is_a_difference(slurm, charged, compare):
    slurm.purged_before = NOON + timedelta(days=3)
    slurm.accounting = charged[3:]
    found = compare()
    assert (kinds(found), found.residual_gpu_seconds, found.purged_records) == ([("not_in_slurmdbd", "3")], 60, 2)


def test_one_that_is_in_no_list_by_time_is_found_by_its_number(slurm, charged, compare):
    slurm.unlisted = {2, 4}
    slurm.accounting = [record for record in charged if record.job_id_raw != 4]
    found = compare()
    assert (kinds(found), found.residual_gpu_seconds) == ([("not_in_slurmdbd", "4")], 60)
    assert (found.slurmdbd_gpu_seconds, found.records) == (240, 4)


def test_without_a_purge_everything_that_is_gone_is_a_difference(slurm, charged, compare):
    slurm.accounting = charged[2:]
    found = compare()
    assert kinds(found) == [("not_in_slurmdbd", "1"), ("not_in_slurmdbd", "2")]
    assert (found.missing_records, found.keepable_gpu_seconds) == (2, 120)


def test_a_slurmdbd_that_does_not_tell_its_configuration_purges_nothing(slurm, charged, compare, monkeypatch):
    def refuse():
        raise ClusterError("You are not running a supported accounting_storage plugin")

    monkeypatch.setattr(slurm, "purge_horizon", refuse)
    slurm.accounting = charged[1:]
    assert kinds(compare()) == [("not_in_slurmdbd", "1")]


@pytest.mark.parametrize(
    ("line", "horizon"),
    [
        ("PurgeJobAfter          = NONE", None),
        ("PurgeJobAfter          = 12 months*", datetime(2025, 6, 2, tzinfo=UTC)),
        ("PurgeJobAfter          = 1 months", datetime(2026, 5, 2, tzinfo=UTC)),
        ("PurgeJobAfter          = 30 days", NOON - timedelta(days=29)),
        ("PurgeJobAfter          = 48 hours*", NOON - timedelta(hours=48)),
    ],
)
def test_how_long_slurmdbd_keeps_jobs_is_read_from_its_configuration(line, horizon):
    config = f"PurgeEventAfter        = 1 months\n{line}\nPurgeResvAfter         = NONE\n"
    assert parse.purge_horizon(config, NOON) == horizon


@pytest.mark.parametrize("config", ["", "PurgeJobAfter = 3 fortnights\n"])
def test_a_configuration_that_nobody_knows_is_an_error(config):
    with pytest.raises(ClusterError):
        parse.purge_horizon(config, NOON)


# ---- a database from a backup


def test_a_restored_database_is_found_and_nothing_is_booked_for_it(slurm, cluster, charged, compare, balance):
    before = Transfer.objects.count()
    # The backup is of the third day: the fourth and fifth job are gone, the third runs still.
    slurm.accounting = [*charged[:2], replace(charged[2], state="RUNNING", end_at=None, elapsed_s=10)]
    settle(cluster=cluster, records=slurm.accounting)
    found = compare()
    assert sorted(kinds(found)) == [("not_in_slurmdbd", "4"), ("not_in_slurmdbd", "5"), ("reopened", "3")]
    assert (found.residual_gpu_seconds, found.missing_records) == (180, 3)
    # Somebody ends the runaway job there with no time used: nothing is given back while records are missing.
    slurm.accounting = [*charged[:2], replace(charged[2], elapsed_s=0)]
    assert settle(cluster=cluster, records=slurm.accounting).withheld == 1
    assert sorted(kinds(compare())) == [("less", "3"), ("not_in_slurmdbd", "4"), ("not_in_slurmdbd", "5")]
    assert (balance().consumed, Transfer.objects.count()) == (300, before)


def test_new_records_after_a_restoration_are_charged_as_ever(slurm, cluster, charged, compare, record_of, balance):
    slurm.accounting = charged[:3]
    compare()
    # slurmctld goes on counting; but a number that was given away before comes again where its state was lost too.
    again = record_of(5, submit_at=LATER, elapsed_s=7)
    settle(cluster=cluster, records=[*slurm.accounting, again])
    assert balance().consumed == 307
    assert Record.objects.filter(job_id_raw=5).count() == 2


def test_an_operators_word_ends_the_differences_and_books_nothing(slurm, cluster, charged, compare, balance):
    slurm.accounting = [*charged[:2], replace(charged[2], elapsed_s=20)]
    seen = compare()
    missing_keep(
        cluster=cluster,
        seen_gpu_seconds=seen.keepable_gpu_seconds,
        reason="restored from Sunday's backup",
        actor="user:1",
        adapter=slurm,
    )
    found = Reconciliation.objects.latest("taken_at")
    assert (found.residual_gpu_seconds, found.differences_count, found.missing_records) == (0, 0, 0)
    assert (found.kept_records, found.kept_gpu_seconds) == (3, 160)
    kept = Kept.objects.get()
    assert (kept.records_count, kept.gpu_seconds, kept.reason) == (3, 160, "restored from Sunday's backup")
    # What stands is not lowered later; what comes back in full, or with more, counts again.
    assert settle(cluster=cluster, records=slurm.accounting).withheld == 1
    assert balance().consumed == 300
    slurm.accounting = [*charged[:3], replace(charged[3], elapsed_s=90)]
    settle(cluster=cluster, records=slurm.accounting)
    found = compare()
    assert (balance().consumed, found.residual_gpu_seconds, found.kept_records) == (330, 0, 1)


def test_no_more_is_kept_than_the_operator_saw(slurm, cluster, charged, compare):
    slurm.accounting = charged[:4]
    seen = compare()
    slurm.accounting = charged[:3]
    with pytest.raises(MoreMissing):
        missing_keep(cluster=cluster, seen_gpu_seconds=seen.keepable_gpu_seconds, reason="x", actor="u", adapter=slurm)
    assert not Kept.objects.exists()
    assert Reconciliation.objects.latest("taken_at").missing_records == 2


def test_an_operator_says_so_on_the_page(slurm, cluster, charged, compare, client_of, operator, auditor, monkeypatch):
    slurm.accounting = charged[:4]
    address = reverse("settlement:keep", args=[compare().pk])
    page = client_of(auditor).get(reverse("settlement:reconciliation")).content.decode()
    assert "Không còn trong slurmdbd" in page
    assert 'name="reason"' not in page
    client = client_of(operator)
    assert 'name="reason"' in client.get(reverse("settlement:reconciliation")).content.decode()
    client.post(address, {"reason": " "})
    assert not Message.objects.filter(topic="settlement.keep").exists()
    for _ in range(2):  # twice the same is one message
        assert client.post(address, {"reason": "khôi phục từ bản sao lưu"}).status_code == 302
    monkeypatch.setattr("scheduler.settlement.services.reconciling.adapter_for", lambda name: slurm)
    missing_keep_asked(Message.objects.get(topic="settlement.keep"))
    assert (Kept.objects.get().actor, Kept.objects.get().records_count) == (f"user:{operator.pk}", 1)
    page = client.get(reverse("settlement:reconciliation")).content.decode()
    assert "khôi phục từ bản sao lưu" in page
    assert operator.full_name in page
    assert "Không chênh lệch" in page


# ---- what a killed slurmctld leaves


def test_a_run_before_the_one_that_a_job_was_bound_by_is_the_jobs_own(
    cluster, portal_job, record_of, queued_as, balance
):
    """It could not be launched and was put back before the portal had found it."""
    again = NOON + timedelta(seconds=30)
    bound = portal_job(7, held=120, submit_at=again)
    first = record_of(7, elapsed_s=3, state="NODE_FAIL", comment=str(bound.job_id))
    second = queued_as(7, submit_at=again, restarts=1, comment=str(bound.job_id))
    settle(cluster=cluster, records=[first], queue=[second])
    assert Job.objects.get() == bound.job
    assert sorted(Run.objects.values_list("submit_at", "charged_gpu_seconds")) == [(NOON, 3), (again, None)]
    assert (balance().consumed, balance().held) == (3, 120)
    settle(cluster=cluster, records=[first, record_of(7, submit_at=again)])
    assert (balance().consumed, balance().held) == (63, 0)
    assert Job.objects.get().state == Job.State.COMPLETED


def test_the_record_of_an_attempt_that_slurmctld_forgot_is_nobodys_job(cluster, portal_job, record_of, balance):
    comment = str(portal_job(8, submit_at=NOON + timedelta(seconds=30)).job_id)
    left = [
        record_of(number, state=state, elapsed_s=0, gpus={}, start_at=None, end_at=end_at, comment=comment)
        for number, state, end_at in ((7, "PENDING", None), (8, "PENDING", None), (9, "COMPLETED", NOON))
    ]
    settle(cluster=cluster, records=left)
    assert (Job.objects.count(), Run.objects.count(), balance().consumed) == (1, 1, 0)
    # It ran all the same: whoever ran it is charged, and sees it.
    settle(cluster=cluster, records=[record_of(7, comment=comment)])
    assert (Job.objects.filter(origin="outside").count(), balance().consumed) == (1, 60)


def test_a_record_that_an_operator_closed_before_any_start_is_nobodys_job(cluster, record_of):
    settle(cluster=cluster, records=[record_of(7, elapsed_s=0, gpus={}, start_at=None)])
    assert not Job.objects.exists()


def test_a_comment_that_names_anothers_job_changes_nothing(cluster, portal_job, record_of):
    comment = str(portal_job(7, submit_at=NOON + timedelta(seconds=30)).job_id)
    settle(cluster=cluster, records=[record_of(7, user="hoa", comment=comment)])
    assert sorted(Job.objects.values_list("origin", flat=True)) == ["outside", "portal"]


# ---- late, and changed late


def test_a_record_that_comes_after_months_is_charged_once_a_reconciliation_saw_it(
    slurm, read, compare, record_of, balance
):
    with time_machine.travel(LATER - timedelta(hours=1), tick=False):
        read()
    slurm.accounting = [record_of(7)]
    for minutes, charged in [(0, 0), (1, 1), (2, 0)]:
        with time_machine.travel(LATER + timedelta(minutes=minutes), tick=False):
            assert read().charged == charged
            found = compare()
    assert ("records", [7]) in slurm.asked
    assert (found.residual_gpu_seconds, balance().consumed) == (0, 60)
    assert slurm.asked.count(("records", [7])) == 1


def test_a_record_that_changes_after_months_is_corrected(slurm, read, compare, record_of, balance):
    slurm.accounting = [record_of(7)]
    with time_machine.travel(NOON + timedelta(hours=1), tick=False):
        read()
    slurm.accounting = [record_of(7, elapsed_s=50)]
    with time_machine.travel(LATER, tick=False):
        read()
        assert kinds(compare()) == [("less", "7")]
    with time_machine.travel(LATER + timedelta(minutes=1), tick=False):
        assert read().corrected == 1
        assert compare().residual_gpu_seconds == 0
    assert balance().consumed == 50


def test_records_of_others_are_counted_and_shown(slurm, compare, record_of, client_of, auditor):
    theirs = record_of(8, account="physics", elapsed_s=36_000, gpus={"h100": 2})
    slurm.accounting = [theirs, record_of(9, account="chemistry", state="RUNNING", end_at=None)]
    found = compare()
    assert (found.others_records, found.others_gpu_seconds, found.records) == (1, 72_000, 0)
    page = client_of(auditor).get(reverse("settlement:reconciliation")).content.decode()
    assert "Tài khoản của người khác" in page


# ---- clocks


@pytest.mark.parametrize("ahead", [timedelta(hours=-3), timedelta(hours=3)])
def test_a_clock_that_differs_moves_no_window(slurm, read, record_of, balance, ahead):
    slurm.clock_ahead = ahead
    start = NOON + timedelta(days=2)
    with time_machine.travel(start, tick=False):
        read()
    # It ends a minute before the next look, on slurmctld's clock.
    slurm.accounting = [record_of(3, submit_at=start + ahead + timedelta(minutes=28))]
    with time_machine.travel(start + timedelta(minutes=30), tick=False):
        assert read().charged == 1
    assert balance().consumed == 60


def test_a_clock_that_is_set_back_leaves_no_gap(slurm, read, record_of):
    slurm.clock_ahead = timedelta(hours=5)
    with time_machine.travel(NOON + timedelta(days=2), tick=False):
        read()
    slurm.clock_ahead = timedelta(0)
    slurm.accounting = [record_of(3, submit_at=NOON + timedelta(days=2))]
    with time_machine.travel(NOON + timedelta(days=2, minutes=5), tick=False):
        assert read().charged == 1


def test_the_page_says_that_the_clocks_differ(slurm, read, client_of, auditor):
    slurm.clock_ahead = timedelta(seconds=-40)
    read()
    page = client_of(auditor).get(reverse("settlement:reconciliation")).content.decode()
    assert "chậm hơn của cổng 40 giây" in page
