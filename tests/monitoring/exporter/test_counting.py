"""Pairs of readings: which clock counts for them, and how much of their time was busy."""

from typing import Any

import pytest

from monitoring.exporter.counting import BUSY_GAUGE, ELAPSED, TENSOR, TENSOR_GAUGE, Increase, increase_between

IDLE_MHZ, CAPPED_MHZ, BUSY_MHZ = 345, 1368, 1980
BEGAN, LENGTH_S = 100.0, 5.0


def reading(at: float, *, clock_mhz: int | None, gauges: dict[str, float] | None = None, **more: Any) -> dict[str, Any]:
    values = {"utilisation": 0.5} | ({} if clock_mhz is None else {"sm_clock_mhz": clock_mhz})
    gpm = {"since": at - LENGTH_S, "values": {TENSOR_GAUGE: 50.0} | (gauges or {})}
    return {"at": at, "values": values, "clock": {}, "gpm": gpm} | more


def between(before: dict[str, Any], after: dict[str, Any]) -> Increase:
    found = increase_between(before, after, gpu_before=before, gpu=after, gap_most_s=60)
    assert found is not None
    return found


def clock_mhz(first: int | None, last: int | None, clock: dict[str, float]) -> float:
    before = reading(BEGAN, clock_mhz=first)
    return between(before, reading(BEGAN + LENGTH_S, clock_mhz=last, clock=clock)).clock_hz / 1e6


@pytest.mark.parametrize("first", [IDLE_MHZ, 1327, BUSY_MHZ])
def test_what_was_looked_at_between_two_readings_is_their_clock(first: int) -> None:
    assert clock_mhz(first, 1327, {"since": BEGAN + 0.002, "mhz": CAPPED_MHZ}) == CAPPED_MHZ


@pytest.mark.parametrize("clock", [{}, {"since": BEGAN - LENGTH_S, "mhz": 1}, {"since": BEGAN + 3, "mhz": 1}])
def test_without_looks_at_just_this_pair_the_higher_end_counts(clock: dict[str, float]) -> None:
    assert clock_mhz(IDLE_MHZ, BUSY_MHZ, clock) == BUSY_MHZ
    assert clock_mhz(BUSY_MHZ, 1900, clock) == BUSY_MHZ  # their mean may be below what was done


def test_without_any_clock_the_tensor_pipes_are_not_measured() -> None:
    found = between(reading(BEGAN, clock_mhz=None), reading(BEGAN + LENGTH_S, clock_mhz=None))
    assert (found.tensor_source, found.clock_hz) == ("", 0)


@pytest.mark.parametrize("per", [1, 16, 132])
def test_counters_are_a_share_of_the_same_clock(per: int) -> None:
    counted = [{ELAPSED: 0.0, TENSOR: 0.0}, {ELAPSED: 9e9 * per, TENSOR: 3e9 * per}]
    before, after = (
        reading(BEGAN + each * LENGTH_S, clock_mhz=1400, gauges=values, clock={"since": BEGAN, "mhz": CAPPED_MHZ})
        for each, values in enumerate(counted)
    )
    found = between(before, after)
    assert (found.tensor_source, found.tensor_share) == ("gpm_counter", pytest.approx(1 / 3))
    assert found.clock_hz == CAPPED_MHZ * 1e6


def test_busy_is_what_gpm_says_of_the_whole_pair() -> None:
    before = reading(BEGAN, clock_mhz=BUSY_MHZ)
    assert between(before, reading(BEGAN + LENGTH_S, clock_mhz=BUSY_MHZ, gauges={BUSY_GAUGE: 15.5})).busy_seconds == (
        pytest.approx(0.155 * LENGTH_S)
    )


@pytest.mark.parametrize(
    "gpm", [{}, {"since": BEGAN, "values": {}}, {"since": BEGAN + 3, "values": {BUSY_GAUGE: 15.5}}]
)
def test_without_it_busy_is_the_mean_of_both_ends(gpm: dict[str, Any]) -> None:
    before = reading(BEGAN, clock_mhz=BUSY_MHZ)
    after = reading(BEGAN + LENGTH_S, clock_mhz=BUSY_MHZ) | {"gpm": gpm}
    assert between(before, after).busy_seconds == 0.5 * LENGTH_S
