"""Between two readings: a clock that swings and jumps, a GPU that does not answer, values that cost much."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.emulator import profiles
from monitoring.exporter.looks import APART_MOST_S, LOOK_S, STEADY, Clock, Seldom, look

IDLE_MHZ, BUSY_MHZ = 345, 1980
LENGTH_S = 5.0
WATCHED_S = 4


def taken(mhz_at: Callable[[float], float], length_s: float = LENGTH_S, every_s: float = LOOK_S) -> dict[str, float]:
    clock = Clock()
    assert clock.take(0.0, mhz_at(0.0)) == {}
    for each in range(1, int(length_s / every_s)):
        clock.look(each * every_s, mhz_at(each * every_s))
    return clock.take(length_s, mhz_at(length_s))


@given(
    begins_s=st.floats(0, LENGTH_S),
    lasts_s=st.floats(2 * LOOK_S, LENGTH_S),
    mhz=st.sampled_from([1327, 1700, BUSY_MHZ]),
)
def test_the_mean_is_never_below_a_job_that_begins_and_ends_between(begins_s: float, lasts_s: float, mhz: int) -> None:
    ends_s = min(begins_s + lasts_s, LENGTH_S)
    mean = taken(lambda at: mhz if begins_s <= at < ends_s else IDLE_MHZ)["mhz"]
    true = IDLE_MHZ + (mhz - IDLE_MHZ) * (ends_s - begins_s) / LENGTH_S
    least = LOOK_S if ends_s < LENGTH_S else 2 * LOOK_S  # what begins and ends between two looks is not seen
    if ends_s - begins_s >= least:
        assert mean >= true - 1e-6
    assert mean <= true + (mhz - IDLE_MHZ) * 2 * LOOK_S / LENGTH_S + 1e-6


@given(clocks=st.lists(st.integers(1305, 1430), min_size=4, max_size=40))
def test_of_a_clock_that_swings_it_is_the_mean(clocks: list[int]) -> None:
    clock = Clock()
    clock.take(0.0, clocks[0])
    for place, mhz in enumerate(clocks[1:-1], 1):
        clock.look(place * LOOK_S, mhz)
    found = clock.take((len(clocks) - 1) * LOOK_S, clocks[-1])
    assert max(clocks) <= min(clocks) * STEADY
    inner = sum(clocks[1:-1]) + (clocks[0] + clocks[-1]) / 2
    assert found == {"since": 0.0, "mhz": pytest.approx(inner / (len(clocks) - 1))}


def test_where_nobody_looked_for_a_while_there_is_no_mean() -> None:
    assert taken(lambda at: BUSY_MHZ, every_s=APART_MOST_S) == {"since": 0.0, "mhz": BUSY_MHZ}
    assert taken(lambda at: BUSY_MHZ, every_s=APART_MOST_S * 1.01) == {}


def test_each_mean_begins_where_the_one_before_ended() -> None:
    clock = Clock()
    clock.take(0.0, IDLE_MHZ)
    clock.take(0.5, IDLE_MHZ)
    clock.look(0.4, BUSY_MHZ)  # another thread looked before the last take, and comes late
    assert clock.take(1.0, BUSY_MHZ) == {"since": 0.5, "mhz": BUSY_MHZ}


def test_a_gpu_that_does_not_answer_keeps_nobody_from_being_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def clock_of(handle: str, kind: int) -> int:
        if handle == "lost":
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return BUSY_MHZ

    monkeypatch.setattr(pynvml, "nvmlDeviceGetClockInfo", clock_of)
    gpus: dict[int, Any] = {
        index: SimpleNamespace(handle=handle, clock=Clock(), seldom=Seldom(dict))
        for index, handle in enumerate(("lost", "well"))
    }
    now = time.monotonic()
    for gpu in gpus.values():
        gpu.clock.take(now - LOOK_S, BUSY_MHZ)
    look(gpus)
    assert gpus[1].clock.take(now + APART_MOST_S, BUSY_MHZ)["mhz"] == BUSY_MHZ
    assert gpus[0].clock.take(now + APART_MOST_S, BUSY_MHZ) == {}


def test_what_costs_much_is_read_seldom_and_not_by_a_reading() -> None:
    cheap = Seldom(lambda: {"energy_mj": 1})
    cheap.read()
    assert cheap.is_cheap
    assert cheap.values == {"energy_mj": 1}

    def costly() -> dict[str, Any]:
        until = time.thread_time() + 0.005
        while time.thread_time() < until:
            pass
        return {"energy_mj": 2}

    slow = Seldom(costly)
    slow.read()
    assert not slow.is_cheap
    assert not slow.is_due
    assert slow.every_s == pytest.approx(15, rel=0.2)
    assert slow.values == {"energy_mj": 2}


def test_at_the_power_cap_the_upper_bound_is_what_was_done(exporter_on: Callable[..., Any]) -> None:
    truth = profiles.truth("h100-580", "capped")
    with exporter_on("h100-580", 1) as running:
        running.well(1)
        running.hook("start", 17, "0")
        running.job_file(17, "emulator-load", "capped")
        running.until(lambda now: 0 < now.value("gpu_sm_clock_hertz") / 1e6 - truth.clock_mhz < 2 * truth.swing_mhz)
        time.sleep(1)
        before = running.scrape()
        time.sleep(WATCHED_S)
        after = running.scrape()
    rises = {
        name: after.value(f"gpu_{name}_total") - before.value(f"gpu_{name}_total")
        for name in ("observed_seconds", "tensor_clock_cycles", "busy_seconds")
    }
    cycles_s = truth.clock_mhz * 1e6 * truth.shares["mma"]
    assert rises["tensor_clock_cycles"] / rises["observed_seconds"] == pytest.approx(cycles_s, rel=0.03)
    assert rises["busy_seconds"] / rises["observed_seconds"] == pytest.approx(truth.utilisation, rel=0.001)


def test_where_energy_is_seldom_read_a_job_s_is_its_own_all_the_same(exporter_on: Callable[..., Any]) -> None:
    truth = profiles.truth("h100-580", "fp8")
    with exporter_on("h100-580", 1) as running:
        running.well(1)
        running.control("costly 0 8")  # every 24 s then
        time.sleep(2 * WATCHED_S)
        running.hook("start", 17, "0")
        running.job_file(17, "emulator-load", "fp8")
        before = running.until(lambda now: now.labels("gpu_job_info")).value("gpu_energy_joules_total")
        began = time.monotonic()
        time.sleep(WATCHED_S)
        still = running.scrape().value("gpu_energy_joules_total")
        running.hook("end", 17, "0")
        lasted_s = time.monotonic() - began
        after = running.until(lambda now: not now.labels("gpu_job_info")).value("gpu_energy_joules_total")
    assert still == before
    assert after - before == pytest.approx(truth.power_mw / 1000 * lasted_s, rel=0.25)
