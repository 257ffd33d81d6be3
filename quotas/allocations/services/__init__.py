"""Everything that changes vouchers, allocations and their balances. Every amount is GPU-seconds of one GPU type,
or VND."""

from quotas.allocations.services.awards import (
    allocation_create,
    award_check_today,
    imported_grant,
    voucher_award,
)
from quotas.allocations.services.charges import BookedCharge, Charge, charges_book
from quotas.allocations.services.corrections import BookedCorrection, correction_book, refund_book
from quotas.allocations.services.endings import clawbacks_due, voucher_clawback, voucher_expire
from quotas.allocations.services.holds import hold_take, hold_void, holds_take, holds_void
from quotas.allocations.services.leaving import voucher_return
from quotas.allocations.services.moves import move_arrive, move_raised
from quotas.allocations.services.other_cluster import cluster_move, move_cancel
from quotas.allocations.services.states import (
    allocation_adopt,
    allocation_close,
    allocation_expire,
    allocation_resume,
    allocation_suspend,
    ended_expire,
)
from quotas.allocations.services.tranches import TranchePlan, tranche_lose, tranche_release, tranches_due_release
from quotas.allocations.services.withdrawals import (
    withdrawal_cancel,
    withdrawal_confirm,
    withdrawal_request,
)

__all__ = [
    "BookedCharge",
    "BookedCorrection",
    "Charge",
    "TranchePlan",
    "allocation_adopt",
    "allocation_close",
    "allocation_create",
    "allocation_expire",
    "allocation_resume",
    "allocation_suspend",
    "award_check_today",
    "charges_book",
    "clawbacks_due",
    "cluster_move",
    "correction_book",
    "ended_expire",
    "hold_take",
    "hold_void",
    "holds_take",
    "holds_void",
    "imported_grant",
    "move_arrive",
    "move_cancel",
    "move_raised",
    "refund_book",
    "tranche_lose",
    "tranche_release",
    "tranches_due_release",
    "voucher_award",
    "voucher_clawback",
    "voucher_expire",
    "voucher_return",
    "withdrawal_cancel",
    "withdrawal_confirm",
    "withdrawal_request",
]
