"""manage.py files_verify: do the stored files and their rows agree? Exit status 1 where they do not."""

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from portal.clock import now
from portal.commands import JsonCommand
from portal.files.services import verification_run
from portal.files.verification import Findings


class Command(JsonCommand):
    help = "Read every stored file; name those that are missing, damaged, orphaned, strange or open to others."
    findings: Findings

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Fails after the result is printed: a script wants both."""
        super().execute(*args, **options)
        if not self.findings.ok:
            raise CommandError("Stored files are missing, damaged, strange or open to others: see above.")
        return None

    def handle(self, *args: Any, **options: Any) -> None:
        self.findings = verification_run(at=now())
        self.emit({"ok": self.findings.ok, **asdict(self.findings)})
