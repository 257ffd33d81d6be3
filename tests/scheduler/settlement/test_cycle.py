"""The cycle of a cluster's worker: order, failures, one at a time; and what is shown of it."""

import pytest
from django.db import OperationalError, connection
from django.urls import reverse

from portal.locks import LockSpace
from scheduler.clusters.adapters.protocol import ClusterUnreachable
from scheduler.clusters.models import Snapshot
from scheduler.settlement import cycle, metrics
from scheduler.settlement.models import CycleStep
from scheduler.settlement.selectors import STEPS
from scheduler.settlement.services import reconcile, settle
from scheduler.settlement.tasks import cluster_cycle

pytestmark = pytest.mark.django_db


@pytest.fixture
def ran(monkeypatch):
    """The names of the steps that ran; `ran.fail[name] = error` makes one fail."""
    names = []

    class Ran(list):
        fail: dict[str, Exception] = {}

    names = Ran()
    for name, target in {
        "outbox": "messages_deliver",
        "jobs": "jobs_cycle",
        "outside": "outside_cover",
        "settle": "records_settle",
        "waiting": "waiting_follow",
        "accounts": "accounts_cycle",
        "data_sets": "groups_cycle",
        "reconcile": "reconcile_if_due",
    }.items():
        monkeypatch.setattr(cycle, target, _noting(names, name))
    return names


def _noting(names, name):
    def step(*args, **kwargs):
        names.append(name)
        if name in names.fail:
            raise names.fail[name]

    return step


def test_the_steps_run_in_their_order(cluster, slurm, ran):
    cycle.cycle_run(cluster, slurm)
    assert ["snapshot", *ran] == list(STEPS)
    assert set(CycleStep.objects.values_list("step", "failures", "error")) == {(name, 0, "") for name in STEPS}


def test_a_step_that_fails_does_not_stop_the_others(cluster, slurm, ran, caplog):
    ran.fail = {"jobs": ValueError("odd"), "settle": ClusterUnreachable("slurmdbd is away")}
    cycle.cycle_run(cluster, slurm)
    cycle.cycle_run(cluster, slurm)
    assert len(ran) == 16
    settle_step = CycleStep.objects.get(step="settle")
    assert (settle_step.failures, settle_step.error, settle_step.succeeded_at) == (2, "slurmdbd is away", None)
    assert "ValueError: odd" in CycleStep.objects.get(step="jobs").error
    ran.fail = {}
    cycle.cycle_run(cluster, slurm)
    settle_step.refresh_from_db()
    assert (settle_step.failures, settle_step.error) == (0, "")
    assert settle_step.succeeded_at is not None


def test_without_slurmctld_nothing_else_is_tried(cluster, slurm, ran):
    slurm.error = ClusterUnreachable("connect failure")
    cycle.cycle_run(cluster, slurm)
    assert ran == []
    assert (Snapshot.objects.get().reachable, CycleStep.objects.get().error) == (False, "connect failure")


def test_a_lost_database_ends_the_cycle(cluster, slurm, ran):
    ran.fail = {"jobs": OperationalError("server closed the connection")}
    with pytest.raises(OperationalError):
        cycle.cycle_run(cluster, slurm)
    assert ran == ["outbox", "jobs"]


@pytest.mark.django_db(transaction=True)
def test_one_cycle_of_a_cluster_at_a_time(cluster, slurm, ran, monkeypatch):
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s, %s)", [LockSpace.CYCLE, cluster.pk])
            monkeypatch.setattr("scheduler.settlement.tasks.adapter_for", lambda name: slurm)
            cluster_cycle("local")
            assert ran == []
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [LockSpace.CYCLE, cluster.pk])
        cluster_cycle("local")
        cluster_cycle("local")
        assert len(ran) == 16
    finally:
        other.close()


def test_a_cluster_that_is_not_there_or_switched_off_has_no_cycle(cluster, ran):
    cluster_cycle("mars")
    cluster.is_active = False
    cluster.save()
    cluster_cycle("local")
    assert ran == []


def test_the_page_shows_residual_differences_and_steps(cluster, slurm, ran, record_of, client_of, auditor):
    address = reverse("settlement:reconciliation")
    assert "Chưa so sánh" in client_of(auditor).get(address).content.decode()
    slurm.accounting = [record_of(1)]
    settle(cluster=cluster, records=slurm.accounting)
    cycle.cycle_run(cluster, slurm)
    reconcile(cluster=cluster, adapter=slurm)
    page = client_of(auditor).get(address).content.decode()
    assert "Không chênh lệch" in page
    assert "Ghi nợ tác vụ đã kết thúc" in page
    slurm.accounting.append(record_of(2, elapsed_s=4321))
    reconcile(cluster=cluster, adapter=slurm)
    page = client_of(auditor).get(address).content.decode()
    assert "Có chênh lệch" in page
    assert "4.321" in page
    assert "Chưa ghi nợ" in page


def test_the_page_is_there_in_english(cluster, slurm, client_of, auditor):
    reconcile(cluster=cluster, adapter=slurm)
    client = client_of(auditor)
    client.cookies["django_language"] = "en"
    page = client.get(reverse("settlement:reconciliation")).content.decode()
    assert "No residual" in page


def test_the_metrics_say_what_the_rows_say(cluster, slurm, ran, record_of):
    slurm.accounting = [record_of(1)]
    cycle.cycle_run(cluster, slurm)
    reconcile(cluster=cluster, adapter=slurm)
    samples = {
        (sample.name, sample.labels.get("step", "")): sample.value
        for family in metrics.collect()
        for sample in family.samples
    }
    assert samples["saola_reconciliation_residual_gpu_seconds", ""] == 60
    assert samples["saola_reconciliation_differences_count", ""] == 1
    assert samples["saola_cycle_step_failures", "settle"] == 0
    assert ("saola_cycle_step_seconds", "snapshot") in samples
