"""The `commands` adapter: one Slurm through its own command line, in parsable form. Works with every version."""

from dataclasses import dataclass

from scheduler.clusters.adapters.commands_accounts import AccountCommands
from scheduler.clusters.adapters.commands_jobs import JobCommands
from scheduler.clusters.adapters.commands_output import OutputCommands
from scheduler.clusters.adapters.commands_read import ReadCommands
from scheduler.clusters.adapters.programs import Programs


@dataclass(frozen=True)
class CommandsAdapter(ReadCommands, AccountCommands, JobCommands, OutputCommands):
    """Speaks `protocol.ClusterAdapter`. Only worker processes and management commands have one."""

    cluster: str  # Slurm's ClusterName
    programs: Programs
    wrappers_dir: str = "/usr/local/libexec/saola"
    sudo: str = "/usr/bin/sudo"
