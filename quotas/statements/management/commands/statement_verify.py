"""manage.py statement_verify: compute every issued statement anew from the ledger and report differences."""

import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from portal.commands import JsonCommand
from quotas.statements.months import Month
from quotas.statements.services import statements_verify


class Command(JsonCommand):
    help = "Compare every issued statement, its hash, files and number with the ledger. Exit status 1 if any differs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--organisation", default="", metavar="SLUG", help="only this organisation's")
        parser.add_argument("--month", default="", metavar="YYYY-MM", help="only this month's")

    def execute(self, *args: Any, **options: Any) -> str | None:
        super().execute(*args, **options)
        if not self.ok:  # after the result was printed
            sys.exit(1)
        return None

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            month = str(Month.read(options["month"])) if options["month"] else ""
        except ValueError as error:
            raise CommandError(str(error)) from error
        verified = statements_verify(organisation=options["organisation"], month=month)
        self.emit(
            {
                "ok": verified.ok,
                "statements": verified.statements,
                "files": verified.files,
                "differences": [asdict(difference) for difference in verified.differences],
            }
        )
        self.ok = verified.ok
