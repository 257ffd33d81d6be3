"""Slurm behind one protocol. `adapter_for` is for workers and management commands only, never in a request."""

from django.conf import settings

from scheduler.clusters.adapters.commands import CommandsAdapter
from scheduler.clusters.adapters.programs import Programs
from scheduler.clusters.adapters.protocol import ClusterAdapter, ClusterError
from scheduler.clusters.adapters.pyslurm_adapter import PyslurmAdapter

__all__ = ["ClusterAdapter", "ClusterError", "adapter_for"]

ADAPTERS = {"commands": CommandsAdapter, "pyslurm": PyslurmAdapter}


def adapter_for(cluster_name: str) -> ClusterAdapter:
    """Raises ClusterError in a process that was not told how to reach this cluster (SLURM in its environment file)."""
    how = settings.SLURM.get(cluster_name)
    if not how:
        raise ClusterError(f"This process was not told how to reach cluster {cluster_name} (SLURM in its environment).")
    made = ADAPTERS.get(how.get("adapter", "commands"))
    if made is None:
        raise ClusterError(
            f"Cluster {cluster_name} has the adapter {how['adapter']!r}: {' and '.join(ADAPTERS)} are there."
        )
    return made(
        cluster=cluster_name,
        programs=Programs(slurm_conf=how["slurm_conf"], accounting_lock=how["accounting_lock"], bin_dir=how["bin_dir"]),
        wrappers_dir=how["wrappers_dir"],
        sudo=how["sudo"],
    )
