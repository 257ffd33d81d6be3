"""Mails before a voucher runs out: at 75, 90 and 100 % used, and 30, 7 and 1 days before its end, once each.

Once is the outbox's own rule: the same topic and key is the same message. A changed face value or end has new keys.
"""

from datetime import timedelta

from django.db import transaction

from portal.clock import centre_date, now
from quotas.allocations.models import Voucher
from quotas.allocations.services.voices import managers_tell
from quotas.allocations.vouchers import voucher_balances

USED_PERCENT = (100, 90, 75)
DAYS_BEFORE_END = (1, 7, 30)


def warnings_write() -> int:
    """Asks for the mails that are due; returns for how many vouchers. Idempotent: asked again, nothing is added."""
    today = centre_date(now())
    open_ = list(
        Voucher.objects.filter(imported=False, starts_on__lte=today, ends_on__gte=today).select_related("organisation")
    )
    known = voucher_balances(open_)
    warned = 0
    for voucher in open_:
        balance = known[voucher.pk]
        spendable = balance.released - balance.expired
        used = balance.charged * 100 // spendable if spendable > 0 else 0
        percent = next((step for step in USED_PERCENT if used >= step), None)
        days_left = (voucher.ends_on - today).days
        # A voucher that was shorter from the start is not warned of the time that it never had.
        days = next(
            (step for step in DAYS_BEFORE_END if days_left <= step and _had(voucher, step)),
            None,
        )
        with transaction.atomic():
            if percent is not None:
                key = f"{voucher.number}:used{percent}:{voucher.face_gpu_seconds}"
                managers_tell(voucher, "used", key=key, percent=percent)
            if days is not None:
                managers_tell(voucher, "ends", key=f"{voucher.number}:days{days}:{voucher.ends_on}", days=days_left)
        warned += percent is not None or days is not None
    return warned


def _had(voucher: Voucher, days: int) -> bool:
    return voucher.ends_on - timedelta(days=days) >= voucher.starts_on
