"""Read the whole ledger and say whether it adds up. Exit status 1 where it does not.

Written on Django's BaseCommand and its clock, not on the portal's: the ledger imports nothing of the project.
"""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from quotas.ledger.services import verification_run
from quotas.ledger.verification import Findings


class Command(BaseCommand):
    help = "Check that totals equal the log, debits equal credits, nobody is overdrawn and no hold is overdue."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object as the last line of standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        findings = verification_run(at=timezone.now())
        if options["json"]:
            self.stdout.write(json.dumps({"ok": findings.ok, **asdict(findings)}, default=str))
        else:
            self.stdout.write("\n".join(_lines(findings)))
        if not findings.ok:
            raise CommandError("The ledger does not add up, or a hold was forgotten: see above.")


def _lines(findings: Findings) -> list[str]:
    lines = [f"{findings.accounts} accounts, {findings.transfers} transfers, read in {findings.duration_s:.2f} s"]
    lines += [f"account {d.account_id}: totals {d.totals}, its transfers say {d.log}" for d in findings.drifts]
    lines += [f"unit {u.unit}: debits exceed credits by {u.posted} posted, {u.pending} pending"
              for u in findings.unbalanced_units]  # fmt: skip
    lines += [f"account {account_id} is below zero and may not be" for account_id in findings.overdrawn_account_ids]
    lines += [f"hold {hold_id} should have been resolved" for hold_id in findings.overdue_hold_ids]
    return [*lines, "the ledger adds up" if findings.ok else "the ledger does NOT add up"]
