"""Everything that closes periods and issues statements. GPU-seconds of one GPU type each; money is VND."""

from quotas.statements.services.closing import closing_ask, periods_close
from quotas.statements.services.files import files_make
from quotas.statements.services.issuing import last_month_issue, statement_correct, statements_issue
from quotas.statements.services.verifying import Difference, Verified, statements_verify

__all__ = [
    "Difference",
    "Verified",
    "closing_ask",
    "files_make",
    "last_month_issue",
    "periods_close",
    "statement_correct",
    "statements_issue",
    "statements_verify",
]
