"""VND: what GPU-seconds are worth, and shares that add up to the VND for every amount and share."""

from hypothesis import given
from hypothesis import strategies as st

from quotas.money import divided, largest_remainder, shares_split, steps_vnd, vnd_of

AMOUNTS = st.integers(0, 10**15)
SHARES = st.integers(0, 10_000)


@given(AMOUNTS, SHARES)
def test_the_shares_add_up_and_neither_is_a_vnd_off(amount: int, share: int) -> None:
    state, own = shares_split(amount, share)
    assert state + own == amount
    assert abs(state * 10_000 - amount * share) <= 5_000, "the nearest whole number"
    assert min(state, own) >= 0


@given(AMOUNTS, AMOUNTS, SHARES)
def test_more_money_never_lowers_a_share(amount: int, more: int, share: int) -> None:
    before, after = shares_split(amount, share), shares_split(amount + more, share)
    assert after[0] >= before[0]
    assert after[1] >= before[1]


@given(AMOUNTS, st.lists(st.integers(0, 10**6), min_size=1, max_size=8).filter(any))
def test_parts_by_largest_remainder_add_up(amount: int, weights: list[int]) -> None:
    parts = largest_remainder(amount, weights)
    assert sum(parts) == amount
    assert all(
        abs(part * sum(weights) - amount * weight) < sum(weights) for part, weight in zip(parts, weights, strict=True)
    )


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=8), st.integers(1, 10**6))
def test_the_worth_of_the_parts_is_the_worth_of_the_whole(parts: list[int], tariff: int) -> None:
    assert sum(steps_vnd(parts, tariff)) == vnd_of(sum(parts), tariff)


def test_a_gpu_hour_costs_its_tariff_and_half_a_vnd_is_rounded_up() -> None:
    assert (vnd_of(3_600, 62_500), vnd_of(1, 1_800), vnd_of(1, 1_799)) == (62_500, 1, 0)
    assert (divided(1, 2), divided(3, 2), divided(1, 3)) == (1, 2, 0)
    assert (shares_split(101, 5_000), shares_split(1, 3_350)) == ((51, 50), (0, 1))
