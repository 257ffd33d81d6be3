"""The `pyslurm` adapter: what a cycle reads of slurmctld comes through libslurm in this process, the rest by commands.

For sites with Slurm 25.11 whose cluster worker has pyslurm 25.11 installed; chosen by `"adapter": "pyslurm"` in the
cluster's entry of the setting SLURM. In process are slurmctld's state, its nodes, partitions and queue: no program is
started, no text is parsed. What stays with `commands`, and why:

- submitting, cancelling, holding, requeueing and reading output as a researcher: slurmctld takes a job of another uid
  from root and SlurmUser only, and the worker is neither. The root-owned wrapper run through sudo is the one way in.
- slurmdbd's records and usage: pyslurm keeps one record for each job id and cannot ask for duplicates. Of a requeued
  job it would show the last run only, and Slurm charged the others; it also holds a whole window in memory at once.
- accounts, associations, QOS: pyslurm has no calls to make accounts or set limits, so they are sacctmgr's, read and
  written. Changes by an administrator (hold, release, time limit) are rare, and scontrol takes an array's tasks too.

What pyslurm cannot show of a single job, squeue is asked for: see pyslurm_read.py.
"""

from dataclasses import dataclass

from scheduler.clusters.adapters.commands import CommandsAdapter
from scheduler.clusters.adapters.pyslurm_read import PyslurmReads


@dataclass(frozen=True)
class PyslurmAdapter(PyslurmReads, CommandsAdapter):
    """Speaks `protocol.ClusterAdapter`. A process can have it for one slurm.conf only: libslurm keeps one."""
