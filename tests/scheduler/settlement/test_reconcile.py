"""Ledger, slurmdbd and slurmctld's counter compared."""

import io
import json
from datetime import timedelta

import pytest
import time_machine
from django.core.management import CommandError, call_command

from quotas.allocations.services import charges_book, refund_book
from scheduler.clusters.adapters.protocol import ClusterUnreachable
from scheduler.jobs.models import Run
from scheduler.settlement.charges import charge_id
from scheduler.settlement.models import Reconciliation, Record
from scheduler.settlement.services import reconcile, reconcile_if_due, settle
from tests.quotas.makers import charge_of
from tests.scheduler.settlement.conftest import NOON

pytestmark = pytest.mark.django_db


@pytest.fixture
def settled(cluster, slurm, record_of):
    slurm.accounting = [record_of(1), record_of(2, elapsed_s=30), record_of(3, elapsed_s=0, state="CANCELLED", gpus={})]
    settle(cluster=cluster, records=slurm.accounting)


def kinds(found):
    return [
        (one["kind"], one["job"], one["slurmdbd_gpu_seconds"], one["charged_gpu_seconds"]) for one in found.differences
    ]


def test_what_is_settled_leaves_no_residual(cluster, slurm, settled):
    found = reconcile(cluster=cluster, adapter=slurm)
    assert (found.records, found.charged_gpu_seconds, found.slurmdbd_gpu_seconds) == (3, 90, 90)
    assert (found.residual_gpu_seconds, found.differences, found.counter_gaps) == (0, [], {})


def test_a_record_that_is_not_charged_is_a_difference(cluster, slurm, settled, record_of):
    slurm.accounting.append(record_of(9, elapsed_s=5))
    found = reconcile(cluster=cluster, adapter=slurm)
    assert kinds(found) == [("not_settled", "9", 5, 0)]
    assert found.residual_gpu_seconds == 5


def test_two_errors_do_not_make_a_zero(cluster, slurm, settled, record_of):
    slurm.accounting = [record_of(1, elapsed_s=70), record_of(2, elapsed_s=20), *slurm.accounting[2:]]
    found = reconcile(cluster=cluster, adapter=slurm)
    assert found.charged_gpu_seconds == found.slurmdbd_gpu_seconds == 90
    assert (kinds(found), found.residual_gpu_seconds) == ([("amount", "1", 70, 60), ("less", "2", 20, 30)], 20)


def test_a_charge_that_slurmdbd_does_not_know_is_a_difference(cluster, slurm, settled):
    del slurm.accounting[0]
    with time_machine.travel(NOON + timedelta(days=3650)):
        assert kinds(reconcile(cluster=cluster, adapter=slurm)) == [("not_in_slurmdbd", "1", 0, 60)]


def test_a_charge_without_a_record_is_a_difference(cluster, slurm, settled, allocation):
    charges_book(charges=[charge_of(allocation, "x", 40)], actor="test")
    assert kinds(reconcile(cluster=cluster, adapter=slurm)) == [("no_record", "?", 0, 40)]


def test_a_record_that_says_other_than_the_ledger_is_a_difference(cluster, slurm, settled, record_of):
    slurm.accounting[0] = record_of(1, elapsed_s=61)
    Record.objects.filter(job_id_raw=1).update(charged_gpu_seconds=61, gpu_seconds=61)
    assert kinds(reconcile(cluster=cluster, adapter=slurm)) == [("ledger", "1", 61, 60)]


def test_what_no_allocation_bears_is_a_difference(cluster, slurm, record_of, allocation):
    slurm.accounting = [record_of(1, qos="normal", partition="h200", gpus={"h200": 1})]
    settle(cluster=cluster, records=slurm.accounting)
    assert kinds(reconcile(cluster=cluster, adapter=slurm)) == [("no_allocation", "1", 60, 0)]


def test_a_correction_and_a_refund_leave_no_residual(cluster, slurm, settled, record_of, allocation):
    slurm.accounting[0] = record_of(1, elapsed_s=50)
    settle(cluster=cluster, records=slurm.accounting)
    refund_book(
        allocation_id=allocation.pk,
        record_charge_id=charge_id("local", 1, NOON),
        refund_id=charge_id("refund", 1, NOON),
        amount_gpu_seconds=20,
        event_at=NOON,
        reason="a node failed",
        actor="test",
    )
    found = reconcile(cluster=cluster, adapter=slurm)
    assert (found.charged_gpu_seconds, found.residual_gpu_seconds) == (80, 0)


def test_overrun_is_charged_and_shown(cluster, slurm, record_of):
    slurm.accounting = [record_of(1, elapsed_s=100_007)]
    settle(cluster=cluster, records=slurm.accounting)
    found = reconcile(cluster=cluster, adapter=slurm)
    assert (found.charged_gpu_seconds, found.overrun_gpu_seconds, found.residual_gpu_seconds) == (100_007, 7, 0)


def test_imported_history_is_counted_apart(cluster, slurm, settled, tmp_path):
    dump = tmp_path / "dump"
    dump.write_text(
        "JobIDRaw|Account|User|State|Submit|Start|End|ElapsedRaw|AllocTRES\n"
        "1|old|an|COMPLETED|2020-01-01T00:00:00|2020-01-01T00:00:00|2020-01-01T00:01:00|60|gres/gpu:h100=2\n"
    )
    call_command("import_sacct", str(dump), "--cluster", "local", "--create-missing")
    found = reconcile(cluster=cluster, adapter=slurm)
    assert (found.charged_gpu_seconds, found.imported_gpu_seconds, found.residual_gpu_seconds) == (90, 120, 0)


def test_unfinished_records_and_other_accounts_do_not_count(cluster, slurm, settled, record_of):
    slurm.accounting += [record_of(7, state="RUNNING", end_at=None), record_of(8, account="physics")]
    assert reconcile(cluster=cluster, adapter=slurm).records == 3


def test_what_slurmctlds_counter_lost_is_listed(cluster, slurm, settled, allocation):
    slurm.usage = {allocation.qos: 90}
    assert reconcile(cluster=cluster, adapter=slurm).counter_gaps == {}
    slurm.usage = {allocation.qos: 25}
    assert reconcile(cluster=cluster, adapter=slurm).counter_gaps == {allocation.qos: 65}


def test_what_slurmctld_counted_too_much_is_listed_once_no_record_is_on_its_way(cluster, slurm, settled, allocation):
    slurm.usage = {allocation.qos: 95}
    assert reconcile(cluster=cluster, adapter=slurm).counter_gaps == {allocation.qos: -5}
    Run.objects.filter(pk=Run.objects.latest("pk").pk).update(ended_at=None)
    assert reconcile(cluster=cluster, adapter=slurm).counter_gaps == {}


def test_it_is_due_every_hour_and_sooner_while_something_differs(cluster, slurm, settled, record_of):
    moments = [(0, True), (30, False), (61, True)]
    for minutes, is_due in moments:
        with time_machine.travel(NOON + timedelta(minutes=minutes)):
            assert (reconcile_if_due(cluster=cluster, adapter=slurm) is not None) == is_due
    slurm.accounting.append(record_of(9))
    for minutes, is_due in [(122, True), (126, False), (128, True)]:
        with time_machine.travel(NOON + timedelta(minutes=minutes)):
            assert (reconcile_if_due(cluster=cluster, adapter=slurm) is not None) == is_due
    assert Reconciliation.objects.count() == 4


def test_the_command_prints_one_json_object(cluster, slurm, settled, monkeypatch):
    monkeypatch.setattr("scheduler.settlement.services.reconciling.adapter_for", lambda name: slurm)
    out = io.StringIO()
    call_command("reconcile", "--cluster", "local", "--json", stdout=out)
    assert json.loads(out.getvalue()) == {
        "records": 3,
        "charged_gpu_seconds": 90,
        "slurmdbd_gpu_seconds": 90,
        "residual_gpu_seconds": 0,
        "imported_gpu_seconds": 0,
        "purged_gpu_seconds": 0,
        "kept_gpu_seconds": 0,
        "others_records": 0,
        "overrun_gpu_seconds": 0,
        "counter_gaps": {},
        "differences": [],
    }


def test_a_cluster_that_does_not_answer_is_one_clear_line(cluster, slurm, monkeypatch):
    monkeypatch.setattr("scheduler.settlement.services.reconciling.adapter_for", lambda name: slurm)
    slurm.error = ClusterUnreachable("slurmdbd: connection refused")
    with pytest.raises(CommandError, match="local does not answer: slurmdbd: connection refused"):
        call_command("reconcile", "--cluster", "local")
    with pytest.raises(CommandError, match="There is no cluster 'mars'"):
        call_command("reconcile", "--cluster", "mars")
