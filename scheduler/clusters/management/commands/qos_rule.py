from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import IntegrityError

from portal.commands import JsonCommand
from scheduler.clusters.models import Cluster, QosRule
from scheduler.clusters.services import qos_rule_set


class Command(JsonCommand):
    help = "Set what one person may have at once on a cluster's CPU partition or on its sandbox allocations."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("cluster")
        parser.add_argument("kind", choices=QosRule.Kind.values)
        parser.add_argument("--hours", type=int, required=True, help="the longest job")
        parser.add_argument("--jobs", type=int, required=True, help="running jobs of a person")
        parser.add_argument("--queued", type=int, required=True, help="running and waiting jobs of a person")
        parser.add_argument("--cpus", type=int, default=0, help="cpu: CPUs of a person's running jobs")
        parser.add_argument("--gpus", type=int, default=0, help="sandbox: GPUs of a person's running jobs")

    def handle(self, *args: Any, **options: Any) -> None:
        cluster = Cluster.objects.filter(name=options["cluster"]).first()
        if cluster is None:
            raise CommandError(f"There is no cluster {options['cluster']!r}.")
        numbers = {name: options[name] for name in ("jobs", "queued", "cpus", "gpus")}
        try:
            qos_rule_set(cluster=cluster, kind=options["kind"], time_limit_s=options["hours"] * 3_600, **numbers)
        except IntegrityError as error:
            raise CommandError(f"These numbers make no rule: {error}".splitlines()[0]) from error
        self.emit({"cluster": cluster.name, "kind": options["kind"], "hours": options["hours"], **numbers})
