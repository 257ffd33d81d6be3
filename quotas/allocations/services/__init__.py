"""Everything that changes vouchers, allocations and their balances. Every amount is GPU-seconds of one GPU type."""

from quotas.allocations.services.awards import (
    allocation_create,
    imported_grant,
    tranche_lose,
    tranche_release,
    voucher_award,
    voucher_expire,
)
from quotas.allocations.services.charges import BookedCharge, Charge, charges_book
from quotas.allocations.services.corrections import BookedCorrection, correction_book, refund_book
from quotas.allocations.services.holds import hold_take, hold_void
from quotas.allocations.services.states import (
    allocation_adopt,
    allocation_close,
    allocation_expire,
    allocation_resume,
    allocation_suspend,
    ended_expire,
)
from quotas.allocations.services.withdrawals import (
    withdrawal_cancel,
    withdrawal_confirm,
    withdrawal_request,
)

__all__ = [
    "BookedCharge",
    "BookedCorrection",
    "Charge",
    "allocation_adopt",
    "allocation_close",
    "allocation_create",
    "allocation_expire",
    "allocation_resume",
    "allocation_suspend",
    "charges_book",
    "correction_book",
    "ended_expire",
    "hold_take",
    "hold_void",
    "imported_grant",
    "refund_book",
    "tranche_lose",
    "tranche_release",
    "voucher_award",
    "voucher_expire",
    "withdrawal_cancel",
    "withdrawal_confirm",
    "withdrawal_request",
]
