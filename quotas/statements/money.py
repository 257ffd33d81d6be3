"""A voucher's money, as statements see it. What is earned is what was used, at the tariff of the award.

All amounts are VND. Rounding is cumulative: what is earned up to a moment is rounded once, and what was booked before
is taken off; so a voucher that is used up has earned its face value exactly, whatever the months did.
"""

from dataclasses import dataclass

from quotas.allocations.models import Voucher
from quotas.allocations.services.money import Price, price_of_voucher
from quotas.money import shares_split


@dataclass(frozen=True, slots=True)
class VoucherMoney:
    """The ledger accounts and the price of a voucher that has money (imported history, for one, has none)."""

    money_account: int
    earned_account: int
    price: Price

    def earned_vnd(self, used_gpu_seconds: int) -> int:
        """What GPU-seconds used so far are worth in all."""
        return self.price.vnd(used_gpu_seconds)

    def state_part_vnd(self, earned_vnd: int) -> int:
        """The state's part of what was earned in all; the organisation's own is the rest."""
        return shares_split(earned_vnd, self.price.state_basis_points)[0]


def voucher_money(voucher: Voucher) -> VoucherMoney | None:
    if voucher.money_account_id is None or voucher.earned_account_id is None:
        return None
    return VoucherMoney(voucher.money_account_id, voucher.earned_account_id, price_of_voucher(voucher))
