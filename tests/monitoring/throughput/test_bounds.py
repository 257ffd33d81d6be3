"""The formulas, against figures that others published."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.throughput.bounds import (
    EFLOP_HOUR,
    Cycles,
    achievable_flop,
    allocated_flop,
    eflop_hours,
    is_above_possible,
    upper_any_flop,
    upper_flop,
)
from monitoring.throughput.devices import Device, device_of
from quotas.estimator import peaks
from quotas.estimator.methods import FACTORS, Method

H100 = device_of("h100")
SHEET_CLOCK_HZ = 1.83e9  # at which NVIDIA's H100 SXM data sheet figures are reached
amounts = st.floats(0, 1e15)


@pytest.mark.parametrize(
    ("gpu_type", "clock_hz", "precision", "tflops"),
    [
        ("h100", SHEET_CLOCK_HZ, "fp8", 1_979),
        ("h100", SHEET_CLOCK_HZ, "bf16", 989.4),
        ("h200", SHEET_CLOCK_HZ, "fp8", 1_979),
        ("h100-pcie", 1.62e9, "fp8", 1_513),
        ("a100", 1.41e9, "bf16", 312),
        ("b200", 1.856e9, "fp8", 4_500),
        ("l40s", 2.52e9, "fp8", 733),
    ],
)
def test_a_second_of_busy_tensor_cores_is_the_data_sheets_peak(
    gpu_type: str, clock_hz: float, precision: str, tflops: float
) -> None:
    upper = upper_flop(device_of(gpu_type), Cycles(dense=clock_hz), precision)
    assert upper == pytest.approx(tflops * 1e12, rel=2e-3)
    assert allocated_flop(device_of(gpu_type), 1, precision) == pytest.approx(tflops * 1e12, rel=2e-3)


def test_twenty_exaflops_are_10107_h100() -> None:
    """The centre's plan: 20 EFLOPS FP8, dense."""
    assert eflop_hours(allocated_flop(H100, 10_107 * 3_600)) == pytest.approx(20, rel=1e-3)


def test_llama_405b_as_published() -> None:
    """3.8e25 FLOPs (Llama 3 report, arXiv:2407.21783) in 30.84 M H100-hours (model card): 38-43 % BF16 MFU, table 4."""
    flop = 15.6e12 * FACTORS[Method.PRETRAIN].flops_per_token(405 * 10**9, 0, 0)
    assert flop == pytest.approx(3.8e25, rel=0.01)
    possible = allocated_flop(H100, 30.84e6 * 3_600, "bf16")
    assert possible is not None
    assert 0.33 < flop / possible < 0.43
    assert not is_above_possible(H100, Cycles(unread_dense_s=30.84e6 * 3_600), {"bf16": flop})


def test_time_that_nobody_read_is_worth_the_highest_clock() -> None:
    """More than the data sheet: an H100 clocks up to 1,980 MHz."""
    assert upper_flop(H100, Cycles(unread_dense_s=1)) == 132 * 8_192 * 1.98e9
    half = Cycles(dense=SHEET_CLOCK_HZ, unread_dense_s=1)
    assert upper_flop(H100, half) == pytest.approx(132 * 8_192 * (1.83e9 + 1.98e9))


def test_sparsity_counts_twice_only_where_it_was_declared() -> None:
    dense, sparse = upper_flop(H100, Cycles(dense=1e9)), upper_flop(H100, Cycles(sparse=1e9))
    assert dense is not None
    assert sparse == 2 * dense
    assert upper_flop(H100, Cycles(unread_sparse_s=1)) == 2 * 132 * 8_192 * 1.98e9


def test_a_gpu_without_fp8_delivers_none_and_still_has_tensor_cores() -> None:
    a100, cycles = device_of("a100"), Cycles(dense=1.41e9)
    assert (upper_flop(a100, cycles), allocated_flop(a100, 10)) == (0, 0)
    assert upper_any_flop(a100, cycles) == pytest.approx(312e12, rel=2e-3)
    assert is_above_possible(a100, cycles, {"fp8": 1.0})


@pytest.mark.parametrize("gpu_type", ["v100", "gpu", "h100_9g.99gb"])
def test_unknown_stays_unknown(gpu_type: str) -> None:
    device = device_of(gpu_type)
    assert upper_flop(device, Cycles(dense=1e9)) is None
    assert upper_flop(device, Cycles(unread_dense_s=1)) is None
    assert allocated_flop(device, 1) is None
    assert not is_above_possible(device, Cycles(), {"fp8": 1e30})


def test_a_type_whose_clock_nobody_stated_has_no_upper_bound_over_unread_time() -> None:
    device = Device(132, None, {"fp8": 8_192}, {"fp8": 1.979e15}, {}, True)
    assert upper_flop(device, Cycles(dense=1e9)) == 132 * 8_192 * 1e9
    assert upper_flop(device, Cycles(dense=1e9, unread_dense_s=1)) is None
    assert device_of("b300").peaks_flops["fp8"] == 4.5e15
    assert upper_flop(device_of("b300"), Cycles(dense=1e9)) is None


def test_a_mig_slice_has_its_own_sms() -> None:
    """16 of 132: seven of them are less than the whole."""
    seventh = device_of("h100_1g.10gb")
    assert upper_flop(seventh, Cycles(dense=1)) == 16 * 8_192
    assert allocated_flop(seventh, 1) == pytest.approx(1_979e12 * 16 / 132)
    assert device_of("small", parent="h100") == Device()
    assert device_of("1g.10gb", parent="h100") == seventh


def test_the_achievable_is_a_mark_below_the_peak() -> None:
    best, peak = achievable_flop(H100, 1), allocated_flop(H100, 1)
    assert best is not None
    assert peak is not None
    assert 0.70 < best / peak < 0.72
    assert achievable_flop(device_of("h200"), 1) is None


def test_what_was_declared_shares_the_cycles() -> None:
    """Half the cycles in BF16 leave half of them for FP8."""
    cycles, a_clock = Cycles(dense=2e9), 132 * 8_192
    fits = {"fp8": a_clock * 1e9, "bf16": a_clock / 2 * 1e9}
    assert not is_above_possible(H100, cycles, fits)
    assert is_above_possible(H100, cycles, fits | {"undeclared": a_clock * 1e9})
    assert not is_above_possible(H100, cycles, {"fp64": 1e30, "int8": 1e30})  # other units' work, or no FLOPs
    assert is_above_possible(H100, Cycles(), {"fp8": 1.0})


@given(amounts, amounts, amounts, amounts)
def test_less_observed_never_narrows_the_bound(dense: float, sparse: float, unread: float, more: float) -> None:
    known = upper_flop(H100, Cycles(dense=dense, sparse=sparse, unread_dense_s=unread))
    wider = upper_flop(H100, Cycles(dense=dense, sparse=sparse, unread_dense_s=unread + more))
    assert known is not None
    assert wider is not None
    assert wider >= known >= 0


def test_every_figure_of_the_table_has_a_source_that_is_spelt_out() -> None:
    def walk(node: object) -> None:
        if isinstance(node, dict):
            if "value" in node:
                assert set(node) == {"value", "source"}
                assert node["value"] > 0
                assert table["sources"][node["source"]]
            for child in node.values():
                walk(child)
        else:
            assert node is None or isinstance(node, str | int | float)

    table = json.loads(Path(peaks.__file__).with_name("peaks.json").read_text())
    for row in table["types"].values():
        assert not [value for key, value in row.items() if isinstance(value, int | float)]
        walk(row)
    assert EFLOP_HOUR == 3_600 * 10**18
