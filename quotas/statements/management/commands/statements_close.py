"""manage.py statements_close --month YYYY-MM: close the ledger through a month and issue its statements."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from portal.commands import JsonCommand
from quotas.ledger.errors import LedgerBusy
from quotas.statements.errors import StatementError
from quotas.statements.models import Period
from quotas.statements.months import Month
from quotas.statements.selectors import progress
from quotas.statements.services import files_make, periods_close, statements_issue

ACTOR = "command:statements_close"


class Command(JsonCommand):
    help = (
        "Close every open month through the given one, oldest first, and issue what is not issued; again: nothing. "
        "The worker makes the files and sends the mails; --files makes the files here."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--month", required=True, metavar="YYYY-MM", help="a month that is over")
        parser.add_argument("--files", action="store_true", help="make the files before the command ends")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            month = Month.read(options["month"])
            closed = periods_close(month=month, actor=ACTOR)
            issued = []
            for period in Period.objects.filter(month__lte=month.first, issued_at__isnull=True).order_by("month"):
                self.say(f"issuing {period.month:%Y-%m}")
                issued += statements_issue(period=period, actor=ACTOR)
        except (ValueError, StatementError) as error:
            raise CommandError(str(error)) from error
        except LedgerBusy as error:
            raise CommandError("A batch that is under way takes too long; nothing was closed. Try again.") from error
        if options["files"]:
            for statement in issued:
                self.say(f"files of {statement.number}")
                files_make(statement_id=statement.pk)
        done = progress(Period.objects.get(month=month.first))
        self.emit(
            {
                "month": str(month),
                "closed": [f"{period.month:%Y-%m}" for period in closed],
                "issued": [statement.number for statement in issued],
                "statements": done.statements,
                "statements_with_files": done.files,
            }
        )
