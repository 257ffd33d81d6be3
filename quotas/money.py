"""VND as whole numbers: what GPU-seconds are worth, and how an amount is split so that its parts add up. Pure.

Everything is rounded from the total, never from a part, so that however often and in whatever order parts are booked,
their sum is the rounded total: `vnd_of(through) - vnd_of(before)`.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise

from quotas.units import SECONDS_PER_HOUR

WHOLE_BASIS_POINTS = 10_000


def vnd_of(gpu_seconds: int, vnd_per_gpu_hour: int) -> int:
    """What GPU-seconds are worth at a tariff, to the VND; half a VND is rounded up."""
    return divided(gpu_seconds * vnd_per_gpu_hour, SECONDS_PER_HOUR)


def divided(amount: int, by: int) -> int:
    """amount / by to the nearest whole number, a half up; for amounts from 0."""
    if amount < 0:
        raise ValueError("Amounts to be rounded are not negative.")
    return (2 * amount + by) // (2 * by)


def shares_split(amount_vnd: int, state_basis_points: int) -> tuple[int, int]:
    """The state's share and the organisation's own, in VND; together they are the amount, whatever it is.

    Largest remainder: both shares are rounded down, and the VND that is left goes to the larger remainder, to the
    state's where they are equal.
    """
    if not 0 <= state_basis_points <= WHOLE_BASIS_POINTS:
        raise ValueError("A share is 0 to 10,000 basis points.")
    state, own = largest_remainder(amount_vnd, (state_basis_points, WHOLE_BASIS_POINTS - state_basis_points))
    return state, own


def largest_remainder(amount: int, weights: Sequence[int]) -> list[int]:
    """Whole parts in proportion to the weights (Hamilton's method); they add up to the amount. First comes first."""
    whole = sum(weights)
    parts = [amount * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda index: (-(amount * weights[index] % whole), index))
    for index in by_remainder[: amount - sum(parts)]:
        parts[index] += 1
    return parts


def steps_vnd(parts_gpu_seconds: Sequence[int], vnd_per_gpu_hour: int) -> list[int]:
    """What each of several parts adds to the worth of all before it: together the worth of the whole, to the VND."""
    through = [vnd_of(total, vnd_per_gpu_hour) for total in accumulate(parts_gpu_seconds, initial=0)]
    return [after - before for before, after in pairwise(through)]
