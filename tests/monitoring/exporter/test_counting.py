"""Pairs of readings in which a job began or ended: the clock jumped, and the upper bound must hold, closely."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.exporter.counting import ELAPSED, TENSOR, increase_between

IDLE_MHZ, BUSY_MHZ, MMA = 345, 1980, 0.55
SECOND = 1.0


def reading(at: float, *, clock_mhz: int, elapsed: float | None, tensor: float) -> dict[str, Any]:
    counters = {} if elapsed is None else {ELAPSED: elapsed, TENSOR: tensor}
    values = {"sm_clock_mhz": clock_mhz, "sm_clock_most_mhz": BUSY_MHZ, "utilisation": 0.5}
    return {"at": at, "values": values, "gpm": {"values": counters}}


def pair(busy: float, *, begins: bool, per: int, length_s: float = SECOND) -> tuple[dict[str, Any], dict[str, Any]]:
    """`busy`: of the pair, at its end (a job begins) or its beginning (one ends); idle for the rest."""
    busy_clocks, idle_clocks = busy * length_s * BUSY_MHZ * 1e6, (1 - busy) * length_s * IDLE_MHZ * 1e6
    clocks = (IDLE_MHZ, BUSY_MHZ) if begins else (BUSY_MHZ, IDLE_MHZ)
    before = reading(0.0, clock_mhz=clocks[0], elapsed=0.0, tensor=0.0)
    after = reading(
        length_s, clock_mhz=clocks[1], elapsed=(busy_clocks + idle_clocks) * per, tensor=busy_clocks * MMA * per
    )
    return before, after


def cycles_of(before: dict[str, Any], after: dict[str, Any], cycles_a_clock: int | None = None) -> float:
    found = increase_between(before, after, gpu_before=before, gpu=after, gap_most_s=60, cycles_a_clock=cycles_a_clock)
    assert found is not None
    return found.seconds * found.clock_hz * found.tensor_share


@given(busy=st.floats(0.01, 0.99), begins=st.booleans(), per=st.sampled_from([1, 16, 132]))
def test_a_job_that_begins_or_ends_in_a_pair_is_counted_by_what_it_did(busy: float, begins: bool, per: int) -> None:
    before, after = pair(busy, begins=begins, per=per)
    did = busy * SECOND * BUSY_MHZ * 1e6 * MMA
    assert cycles_of(before, after, per) == pytest.approx(did, rel=1e-6)
    assert cycles_of(before, after) >= did * (1 - 1e-9)  # not known yet: never less


@given(clock=st.sampled_from([IDLE_MHZ, 1410, BUSY_MHZ]), per=st.sampled_from([1, 16, 132]))
def test_a_clock_that_stands_still_shows_what_a_clock_counts(clock: int, per: int) -> None:
    before = reading(0.0, clock_mhz=clock, elapsed=1e12, tensor=0.0)
    after = reading(2.003, clock_mhz=clock, elapsed=1e12 + clock * 1e6 * per * 2.0, tensor=0.0)
    found = increase_between(before, after, gpu_before=before, gpu=after, gap_most_s=60)
    assert found is not None
    assert found.cycles_a_clock == pytest.approx(per, rel=0.01)


def test_a_clock_that_jumped_and_came_back_shows_nothing() -> None:
    before = reading(0.0, clock_mhz=IDLE_MHZ, elapsed=0.0, tensor=0.0)
    after = reading(1.0, clock_mhz=IDLE_MHZ, elapsed=(0.5 * IDLE_MHZ + 0.5 * BUSY_MHZ) * 1e6, tensor=0.0)
    found = increase_between(before, after, gpu_before=before, gpu=after, gap_most_s=60)
    assert found is not None
    assert found.cycles_a_clock is None


def test_without_the_counters_the_higher_clock_counts() -> None:
    before = reading(0.0, clock_mhz=IDLE_MHZ, elapsed=None, tensor=0.0)
    after = reading(1.0, clock_mhz=BUSY_MHZ, elapsed=None, tensor=0.0)
    found = increase_between(before, after, gpu_before=before, gpu=after, gap_most_s=60)
    assert found is not None
    assert found.clock_hz == BUSY_MHZ * 1e6
