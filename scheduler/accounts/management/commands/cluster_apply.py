import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from portal.commands import JsonCommand
from scheduler.accounts.services import cluster_apply
from scheduler.accounts.services.cycle import AnotherApplies
from scheduler.clusters.adapters import ClusterError
from scheduler.clusters.models import Cluster


class Command(JsonCommand):
    help = "Applies a cluster's plan and reads it back. Removes nothing where there are more removals than the cap."

    _failed = False

    def execute(self, *args: Any, **options: Any) -> str | None:
        result = super().execute(*args, **options)
        if self._failed:  # after the result was printed
            sys.exit(1)
        return result

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--cluster", required=True)
        parser.add_argument("--removals-cap", type=int, help="default: the cluster's own")

    def handle(self, *args: object, **options: object) -> None:
        cluster = Cluster.objects.filter(name=options["cluster"]).first()
        if cluster is None:
            raise CommandError(f"There is no cluster {options['cluster']}.")
        cap = options["removals_cap"]
        try:
            applied = cluster_apply(
                cluster=cluster,
                removals_cap=cap if isinstance(cap, int) else cluster.removals_cap,
                actor="command:cluster_apply",
            )
        except AnotherApplies as error:
            raise CommandError(f"Another process is applying a plan to {cluster.name}; try again.") from error
        except ClusterError as error:
            raise CommandError(str(error)) from error
        self.emit(
            {
                "applied": [change.as_json() for action in applied.done for change in action.changes],
                "left": [change.as_json() for change in applied.left.changes],
                "waiting_for_jobs": [action.name for action in applied.busy],
                "removals_withheld": applied.removals_withheld,
                "withdrawals_confirmed": applied.withdrawals_confirmed,
                "errors": applied.errors,
                "notes": [note.as_json() for note in applied.left.notes],
            }
        )
        self._failed = bool(applied.errors or applied.removals_withheld)
