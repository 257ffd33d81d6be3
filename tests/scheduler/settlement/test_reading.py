"""What is read from slurmdbd, and when the cursor moves."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from portal.clock import now
from scheduler.clusters.adapters.protocol import ClusterUnreachable
from scheduler.jobs.models import Job, Run
from scheduler.settlement.models import Cursor, Record
from scheduler.settlement.services import outside_cover, records_settle
from tests.scheduler.settlement.conftest import NOON

pytestmark = pytest.mark.django_db
LATER = NOON + timedelta(hours=2)


@pytest.fixture
def read(cluster, slurm):
    return lambda: records_settle(cluster=cluster, adapter=slurm, look=slurm.look())


def windows(slurm):
    return [since for what, since in slurm.asked if what == "records" and isinstance(since, datetime)]


def test_the_first_reading_goes_back_to_before_the_cluster_was_known(slurm, read, cluster):
    with time_machine.travel(LATER, tick=False):
        read()
        assert windows(slurm) == [cluster.created_at - timedelta(days=1)]
        assert Cursor.objects.get().read_until == LATER


def test_windows_overlap(slurm, read):
    with time_machine.travel(LATER, tick=False):
        read()
    with time_machine.travel(LATER + timedelta(minutes=1), tick=False):
        read()
    assert windows(slurm)[1] == LATER - timedelta(minutes=10)


def test_a_late_record_inside_the_overlap_is_charged(slurm, read, record_of, balance):
    with time_machine.travel(LATER, tick=False):
        read()
        slurm.accounting = [record_of(1, submit_at=LATER - timedelta(minutes=5))]
        assert read().charged == 1
    assert balance().consumed == 60


def test_once_a_day_everything_of_a_month_is_read(slurm, read, record_of, balance):
    with time_machine.travel(LATER, tick=False):
        read()
    slurm.accounting = [record_of(1)]
    with time_machine.travel(LATER + timedelta(hours=23), tick=False):
        assert read().charged == 0
    with time_machine.travel(LATER + timedelta(hours=24), tick=False):
        assert read().charged == 1
    assert balance().consumed == 60


def test_the_cursor_stays_when_slurmdbd_does_not_answer(slurm, read):
    with time_machine.travel(LATER, tick=False):
        read()
    look = slurm.look()
    slurm.error = ClusterUnreachable("away")
    with time_machine.travel(LATER + timedelta(minutes=30), tick=False), pytest.raises(ClusterUnreachable):
        records_settle(cluster=Cursor.objects.get().cluster, adapter=slurm, look=look)
    assert Cursor.objects.get().read_until == LATER


def test_the_cursor_stays_while_slurmctld_has_not_told_slurmdbd_everything(slurm, read):
    with time_machine.travel(LATER, tick=False):
        read()
    slurm.dbd_queue = 7
    with time_machine.travel(LATER + timedelta(hours=3), tick=False):
        read()
        assert Cursor.objects.get().read_until == LATER
    slurm.dbd_queue = 0
    with time_machine.travel(LATER + timedelta(hours=4), tick=False):
        read()
        assert windows(slurm)[-1] == LATER - timedelta(minutes=10)
        assert Cursor.objects.get().read_until == LATER + timedelta(hours=4)


def test_a_run_that_squeue_no_longer_shows_is_asked_for_by_its_number(
    slurm, read, cluster, queued_as, record_of, balance
):
    with time_machine.travel(NOON + timedelta(seconds=10), tick=False):
        read()
        outside_cover(cluster=cluster, queue=[queued_as(7)])
    with time_machine.travel(LATER, tick=False):
        read()
        slurm.asked.clear()
        slurm.accounting = [record_of(7)]  # it ended long before the window
        assert read().charged == 1
        assert ("records", [7]) in slurm.asked
        slurm.asked.clear()
        read()
        assert [asked for asked in slurm.asked if asked[1] == [7]] == []
    assert balance().held == 0


def test_a_running_job_is_not_asked_for_by_its_number(slurm, read, cluster, queued_as):
    slurm.jobs = [queued_as(7)]
    outside_cover(cluster=cluster, queue=slurm.jobs)
    read()
    assert ("records", [7]) not in slurm.asked


def test_an_earlier_run_of_a_job_in_the_queue_is_asked_for(slurm, read, cluster, queued_as):
    outside_cover(cluster=cluster, queue=[queued_as(7)])
    slurm.jobs = [queued_as(7, submit_at=LATER, restarts=1)]
    outside_cover(cluster=cluster, queue=slurm.jobs)
    read()
    assert ("records", [7]) in slurm.asked


def test_a_job_from_outside_that_slurm_lost_is_ended_after_a_margin(slurm, read, cluster, queued_as):
    outside_cover(cluster=cluster, queue=[queued_as(7, state="PENDING", start_at=None)])
    with time_machine.travel(LATER, tick=False):
        read()
        assert Job.objects.get().is_open
    with time_machine.travel(LATER + timedelta(minutes=3), tick=False):
        slurm.dbd_queue = 1
        read()
        assert Job.objects.get().is_open
        slurm.dbd_queue = 0
        read()
    assert (Job.objects.get().state, Run.objects.get().ended_at is None) == ("cancelled", False)


def test_one_whose_number_another_job_got_is_ended_too(slurm, read, cluster, queued_as):
    outside_cover(cluster=cluster, queue=[queued_as(7, state="PENDING", start_at=None)])
    slurm.jobs = [queued_as(7, submit_at=LATER - timedelta(minutes=1), user="hoa")]
    for minutes in (0, 3):
        with time_machine.travel(LATER + timedelta(minutes=minutes), tick=False):
            read()
    assert Job.objects.get(slurm_submit_at=NOON).state == "cancelled"


def test_one_that_comes_back_is_not_ended(slurm, read, cluster, queued_as):
    waiting = queued_as(7, state="PENDING", start_at=None)
    outside_cover(cluster=cluster, queue=[waiting])
    with time_machine.travel(LATER, tick=False):
        read()
        outside_cover(cluster=cluster, queue=[waiting])
    with time_machine.travel(LATER + timedelta(minutes=3), tick=False):
        read()
    assert Job.objects.get().is_open


def test_an_unfinished_record_alone_is_followed_up(slurm, read, record_of):
    slurm.accounting = [record_of(3, state="RUNNING", end_at=None)]
    read()
    assert not Record.objects.get().is_final
    with time_machine.travel(datetime(2027, 1, 1, tzinfo=UTC), tick=False):
        slurm.accounting = [record_of(3)]
        assert read().charged == 1
        assert now().year == 2027
