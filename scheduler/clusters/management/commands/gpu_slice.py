import re
from typing import Any

from django.core.management.base import CommandError, CommandParser

from portal.commands import JsonCommand
from scheduler.clusters.errors import ShareFixed
from scheduler.clusters.services import gpu_slice_add


class Command(JsonCommand):
    help = "Make a slice of a GPU (MIG) known: its jobs use the parent type's allocations at a share of a GPU-second."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("gpu_type", help="the GRES type in Slurm, such as h100_1g.10gb")
        parser.add_argument("--of", required=True, help="the whole GPU's type, such as h100")
        parser.add_argument("--share", required=True, help="compute slices of it / of the whole GPU, such as 1/7")

    def handle(self, *args: Any, **options: Any) -> None:
        share = re.fullmatch(r"([1-9][0-9]{0,2})/([1-9][0-9]{0,2})", options["share"])
        if not share or int(share[1]) >= int(share[2]):
            raise CommandError(f"{options['share']!r} is no share below one, such as 1/7")
        try:
            row = gpu_slice_add(
                gpu_type=options["gpu_type"], parent=options["of"], parts=int(share[1]), whole=int(share[2])
            )
        except ShareFixed as error:
            raise CommandError(str(error)) from error
        self.emit({"gpu_type": row.gpu_type, "parent": row.parent, "share": f"{row.parts}/{row.whole}"})
