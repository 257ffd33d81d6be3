"""manage.py reconcile --cluster NAME: compares the ledger, slurmdbd and slurmctld's counter."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from portal.commands import JsonCommand
from scheduler.clusters.adapters import ClusterError
from scheduler.clusters.models import Cluster
from scheduler.settlement.services import reconcile


class Command(JsonCommand):
    help = "Compare the ledger with slurmdbd and slurmctld's counter; changes nothing but the page that shows it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--cluster", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        cluster = Cluster.objects.filter(name=options["cluster"]).first()
        if cluster is None:
            raise CommandError(f"There is no cluster {options['cluster']!r}.")
        try:
            found = reconcile(cluster=cluster)
        except ClusterError as error:
            raise CommandError(f"{cluster.name} does not answer: {error}") from error
        if found.differences_count > len(found.differences):
            self.say(f"{found.differences_count} differences; the largest {len(found.differences)} follow.")
        self.emit(
            {
                "records": found.records,
                "charged_gpu_seconds": found.charged_gpu_seconds,
                "slurmdbd_gpu_seconds": found.slurmdbd_gpu_seconds,
                "residual_gpu_seconds": found.residual_gpu_seconds,
                "imported_gpu_seconds": found.imported_gpu_seconds,
                "purged_gpu_seconds": found.purged_gpu_seconds,
                "kept_gpu_seconds": found.kept_gpu_seconds,
                "others_records": found.others_records,
                "overrun_gpu_seconds": found.overrun_gpu_seconds,
                "counter_gaps": found.counter_gaps,
                "differences": found.differences,
            }
        )
