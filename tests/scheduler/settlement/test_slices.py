"""Records of slices: their share is charged, the rest comes back, Slurm's counter is made up for. The real one:
test_real_places.py."""

import pytest

from quotas.allocations.selectors import allocation_balances
from scheduler.clusters.models import Partition
from scheduler.clusters.services import gpu_slice_add
from scheduler.settlement.models import Record
from scheduler.settlement.selectors import uncharged_by_qos
from scheduler.settlement.services import reconcile, settle
from tests.scheduler.settlement.conftest import NOON

pytestmark = pytest.mark.django_db
SLICE = "h100_1g.10gb"


@pytest.fixture(autouse=True)
def slices(cluster):
    gpu_slice_add(gpu_type=SLICE, parent="h100", parts=1, whole=7)
    place = {"nodes": 1, "gpus_per_node": 14, "read_at": NOON}
    Partition.objects.create(cluster=cluster, name="h100-1g", gpu_type=SLICE, **place)


def test_a_share_is_charged_and_the_counter_made_up_for(cluster, slurm, allocation, record_of, portal_job):
    run = portal_job(1, held=120)  # held as a whole GPU
    typed = {"partition": "h100-1g", "gpus": {SLICE: 1}}
    slurm.accounting = [
        record_of(1, elapsed_s=60, **typed),  # 60/7, rounded up: 9
        record_of(2, elapsed_s=70, partition="h100-1g", gpus={SLICE: 3}),  # 30
        record_of(3, elapsed_s=1, partition="h100-1g", gpus={"gpu": 1}),  # without a type: the partition's; 1
        record_of(4, elapsed_s=50),  # a whole one
    ]
    settle(cluster=cluster, records=slurm.accounting)
    rows = Record.objects.order_by("job_id_raw").values_list("gpu_type", "gpu_seconds", "uncharged_gpu_seconds")
    assert list(rows) == [(SLICE, 9, 51), (SLICE, 30, 180), (SLICE, 1, 0), ("h100", 50, 0)]
    run.refresh_from_db()
    assert (run.charged_gpu_seconds, run.hold_resolved) == (9, True)
    balance = allocation_balances([allocation.pk])[allocation.pk]
    assert (balance.consumed, balance.held) == (90, 0)
    assert uncharged_by_qos(cluster) == {allocation.qos: 231}
    slurm.usage = {allocation.qos: 60 + 210 + 1 + 50}
    found = reconcile(cluster=cluster, adapter=slurm)
    assert (found.residual_gpu_seconds, found.charged_gpu_seconds, found.counter_gaps) == (0, 90, {})
    slurm.usage = {allocation.qos: 60 + 210 + 1 + 50 - 40}  # slurmctld was killed and forgot 40 of them
    assert reconcile(cluster=cluster, adapter=slurm).counter_gaps == {allocation.qos: 40}


def test_a_record_that_changes_is_corrected_by_its_share(cluster, slurm, allocation, record_of):
    typed = {"partition": "h100-1g", "gpus": {SLICE: 1}}
    settle(cluster=cluster, records=[record_of(1, elapsed_s=60, **typed)])
    settle(cluster=cluster, records=[record_of(1, elapsed_s=141, **typed)])
    row = Record.objects.get()
    assert (row.gpu_seconds, row.charged_gpu_seconds, row.uncharged_gpu_seconds) == (21, 21, 120)
    assert allocation_balances([allocation.pk])[allocation.pk].consumed == 21


def test_who_has_no_gpus_is_charged_nothing(cluster, slurm, allocation, record_of):
    slurm.accounting = [record_of(1, elapsed_s=600, qos="sl-cpu", partition="cpu", gpus={})]
    settle(cluster=cluster, records=slurm.accounting)
    assert allocation_balances([allocation.pk])[allocation.pk].consumed == 0
    found = reconcile(cluster=cluster, adapter=slurm)
    assert (found.residual_gpu_seconds, found.differences, found.slurmdbd_gpu_seconds) == (0, [], 0)
