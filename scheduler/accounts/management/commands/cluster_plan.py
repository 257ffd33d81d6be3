from django.core.management.base import CommandError, CommandParser

from portal.commands import JsonCommand
from scheduler.accounts.services import plan_make
from scheduler.clusters.adapters import ClusterError
from scheduler.clusters.models import Cluster


class Command(JsonCommand):
    help = "Shows every difference between what a cluster's Slurm should hold and what it holds. Changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--cluster", required=True)

    def handle(self, *args: object, **options: object) -> None:
        cluster = Cluster.objects.filter(name=options["cluster"]).first()
        if cluster is None:
            raise CommandError(f"There is no cluster {options['cluster']}.")
        try:
            plan = plan_make(cluster=cluster)
        except ClusterError as error:
            raise CommandError(str(error)) from error
        self.emit(
            {
                "changes": [change.as_json() for change in plan.changes],
                "notes": [note.as_json() for note in plan.notes],
            }
        )
