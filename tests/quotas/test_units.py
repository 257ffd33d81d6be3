"""GPU-seconds in, GPU-hours out: nobody reads more than there is."""

from datetime import date

import pytest
from django.utils.translation import override

from quotas.allocations.errors import AllocationNotOpen, BalanceTooSmall, PoolTooSmall
from quotas.units import gpu_hours_text, ledger_unit


@pytest.mark.parametrize(
    ("gpu_seconds", "free", "needed"),
    [
        (0, "0", "0"),
        (3_600, "1", "1"),
        (3_599, "0.99", "1.00"),
        (1, "0.00", "0.01"),
        (3_600 * 12_345 + 1_800, "12,345.50", "12,345.50"),
    ],
)
def test_what_is_free_is_rounded_down_and_what_is_needed_up(gpu_seconds: int, free: str, needed: str) -> None:
    with override("en"):
        assert (gpu_hours_text(gpu_seconds), gpu_hours_text(gpu_seconds, up=True)) == (free, needed)


def test_a_unit_names_its_gpu_type() -> None:
    assert ledger_unit("h100") == "gpu:h100"


def test_a_refusal_is_a_sentence_with_its_figures_in_both_languages() -> None:
    small = BalanceTooSmall(free_gpu_seconds=3_600, needed_gpu_seconds=3_601)
    pool = PoolTooSmall(programme="NATIF", gpu_type="h100", free_gpu_seconds=0, needed_gpu_seconds=3_600_000)
    ended = AllocationNotOpen(state="expired", starts_on=date(2026, 1, 1), ends_on=date(2026, 12, 31))
    with override("en"):
        assert str(small) == "1 GPU-hours are free; this needs 1.01."
        assert str(pool) == "NATIF has 0 H100 GPU-hours left; this needs 1,000."
        assert "2026" in str(ended)
    with override("vi"):
        assert str(small) == "Còn trống 1 giờ GPU, trong khi việc này cần 1,01."
        assert str(pool) == "NATIF còn 0 giờ GPU H100, trong khi việc này cần 1.000."
        assert str(ended).startswith("Hạn mức đã hết hạn")
