from typing import Any

from django.core.management.base import CommandParser

from portal.commands import JsonCommand
from scheduler.clusters.services import cluster_register


class Command(JsonCommand):
    help = "Make a Slurm cluster known to the portal. One that is known already is left as it stands."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="Slurm's own ClusterName")
        parser.add_argument("--title", required=True, help="what people read")
        parser.add_argument("--account-prefix", default="sl-", help="only accounts and QOS with it are the portal's")
        parser.add_argument("--overshoot-s", type=int, default=60, help="polling of limits + KillWait, in seconds")

    def handle(self, *args: Any, **options: Any) -> None:
        cluster = cluster_register(
            name=options["name"],
            title=options["title"],
            account_prefix=options["account_prefix"],
            overshoot_s=options["overshoot_s"],
        )
        self.emit({"name": cluster.name, "title": cluster.title, "account_prefix": cluster.account_prefix})
