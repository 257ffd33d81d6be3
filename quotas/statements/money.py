"""A voucher's money, as statements see it. What is earned is what was used, at the tariff of the award.

All amounts are VND. Rounding is cumulative: what is earned up to a moment is rounded once, and what was booked before
is taken off; so a voucher that is used up has earned its face value exactly, whatever the months did.
"""

from dataclasses import dataclass

from quotas.allocations.models import Voucher
from quotas.units import SECONDS_PER_HOUR

WHOLE_BASIS_POINTS = 10_000


@dataclass(frozen=True, slots=True)
class VoucherMoney:
    """The ledger accounts and the price of a voucher that has money (imported history, for one, has none)."""

    money_account: int
    earned_account: int
    tariff_vnd_per_gpu_hour: int
    state_basis_points: int

    def earned_vnd(self, used_gpu_seconds: int) -> int:
        """What GPU-seconds used so far are worth in all; half a VND is rounded up."""
        return _nearest(used_gpu_seconds * self.tariff_vnd_per_gpu_hour, SECONDS_PER_HOUR)

    def state_part_vnd(self, earned_vnd: int) -> int:
        """The state's part of what was earned in all, by the largest remainder; the organisation's own is the rest."""
        return _nearest(earned_vnd * self.state_basis_points, WHOLE_BASIS_POINTS)


def voucher_money(voucher: Voucher) -> VoucherMoney | None:
    money_account = getattr(voucher, "money_account_id", None)
    earned_account = getattr(voucher, "earned_account_id", None)
    if money_account is None or earned_account is None:
        return None
    facts = {name: getattr(voucher, name) for name in ("tariff_vnd_per_gpu_hour", "state_basis_points")}
    return VoucherMoney(money_account=money_account, earned_account=earned_account, **facts)


def voucher_number(voucher: Voucher) -> str:
    return getattr(voucher, "number", None) or f"#{voucher.pk}"


def _nearest(numerator: int, denominator: int) -> int:
    """A half goes up."""
    return (2 * numerator + denominator) // (2 * denominator)
