"""Which adapter a cluster gets, and what a worker says that cannot have it."""

import pytest
from pytest_django.fixtures import Settings

from scheduler.clusters.adapters import ClusterError, adapter_for, pyslurm_binding
from scheduler.clusters.adapters.commands import CommandsAdapter
from scheduler.clusters.adapters.pyslurm_adapter import PyslurmAdapter
from tests.scheduler.clusters.contract.conftest import PREFIX
from tests.scheduler.live import CLUSTER, LiveSlurm

pytestmark = pytest.mark.slurm


def chosen(settings: Settings, adapter: str) -> CommandsAdapter:
    settings.SLURM = {CLUSTER: LiveSlurm().how | {"adapter": adapter}}
    return adapter_for(CLUSTER)  # type: ignore[return-value]


def test_a_cluster_says_which_adapter_it_wants(settings: Settings) -> None:
    assert type(adapter_for(CLUSTER)) is CommandsAdapter
    assert type(chosen(settings, "pyslurm")) is PyslurmAdapter
    assert type(chosen(settings, "commands")) is CommandsAdapter
    with pytest.raises(ClusterError, match="'slurmrestd': commands and pyslurm are there"):
        chosen(settings, "slurmrestd")


def test_who_cannot_read_by_pyslurm_is_told_why(settings: Settings) -> None:
    """The test stack's Slurm is 22.05: pyslurm is not installed beside it, or is for another."""
    adapter = chosen(settings, "pyslurm")
    for ask in (adapter.queue, adapter.nodes, adapter.partitions, adapter.controller_status):
        with pytest.raises(ClusterError, match=r"does not fit Slurm 22\.05" if PREFIX else "is not installed"):
            ask()
    other = LiveSlurm().adapter()
    before, found, after = ({row.name for row in one.accounts()} for one in (other, adapter, other))
    assert before & after <= found <= before | after  # others make and remove theirs meanwhile


def test_a_process_reads_one_slurm_by_pyslurm(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pyslurm_binding._loaded, "/etc/slurm/other.conf", object())
    with pytest.raises(ClusterError, match=r"one Slurm a process, here that of /etc/slurm/other\.conf"):
        chosen(settings, "pyslurm").queue()
