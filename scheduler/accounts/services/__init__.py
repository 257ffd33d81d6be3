"""Desired state → plan → apply → read back. Only workers and management commands call this: it talks to Slurm."""

from scheduler.accounts.services.applying import Applied, plan_apply
from scheduler.accounts.services.cycle import accounts_cycle, cluster_apply
from scheduler.accounts.services.planning import plan_make

__all__ = ["Applied", "accounts_cycle", "cluster_apply", "plan_apply", "plan_make"]
