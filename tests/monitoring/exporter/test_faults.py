"""What a driver can do to who asks it. A fault costs what it hits, and nothing else; each is itself to be seen."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from monitoring.emulator import profiles
from tests.monitoring.exporter.conftest import COLLECT_S, DEADLINE_S, Running, Scrape

GPUS = 8
UUIDS = [profiles.gpu_uuid("gpu001", index) for index in range(GPUS)]


@pytest.fixture(scope="module")
def running(exporter_on: Callable[..., Any]) -> Iterator[Running]:
    with exporter_on("h100", GPUS) as one:
        yield one


@pytest.fixture(autouse=True)
def _well(running: Running) -> None:
    running.control()
    running.well(GPUS)


def shown(scrape: Scrape) -> set[str]:
    """GPUs with a value of now."""
    return {one["uuid"] for one in scrape.labels("nvidia_gpu_power_usage_milliwatts")}


def grown(before: Scrape, after: Scrape, name: str = "gpu_observed_seconds_total") -> set[str]:
    return {uuid for uuid in UUIDS if after.value(name, uuid=uuid) > before.value(name, uuid=uuid)}


def test_a_hung_gpu_blocks_no_scrape_and_leaves_the_other_seven(running: Running) -> None:
    running.control("hang 3")  # what looks at the clocks hangs on it too
    began = time.monotonic()
    running.scrape()
    assert time.monotonic() - began < DEADLINE_S
    running.until(lambda now: now.value("gpu_exporter_gpus", state="hung") == 1)
    before = running.until(lambda now: now.value("gpu_exporter_gpus", state="ok") == 7)
    assert before.value("gpu_up", uuid=UUIDS[3], state="hung") == 0
    assert before.values("gpu_exporter_collect_failures_total", reason="hung")[0] >= 1
    time.sleep(3 * COLLECT_S)
    after = running.scrape()
    assert shown(after) == set(UUIDS) - {UUIDS[3]}
    assert grown(before, after) == set(UUIDS) - {UUIDS[3]}
    assert after.value("gpu_exporter_collect_seconds") < DEADLINE_S  # nobody waits for it again
    running.control()
    running.well(GPUS)


def test_two_that_hang_leave_six(running: Running) -> None:
    running.control("hang 0", "hang 7")
    running.until(lambda now: now.value("gpu_exporter_gpus", state="hung") == 2)
    running.until(lambda now: shown(now) == set(UUIDS[1:7]))


def test_a_lost_gpu_says_so_and_its_values_go(running: Running) -> None:
    running.control("lost 5")
    now = running.until(lambda now: now.value("gpu_exporter_gpus", state="lost") == 1)
    assert shown(now) == set(UUIDS) - {UUIDS[5]}
    assert not now.values("gpu_sm_cycles_elapsed_total", uuid=UUIDS[5])  # the driver's own words are not repeated
    still = now.value("gpu_observed_seconds_total", uuid=UUIDS[5])
    time.sleep(2 * COLLECT_S)
    assert running.scrape().value("gpu_observed_seconds_total", uuid=UUIDS[5]) == still


def test_a_driver_that_does_not_begin_is_waited_for_by_nobody(running: Running) -> None:
    running.control("hang-init", "driver-starts 5")
    running.until(lambda now: now.values("gpu_exporter_collect_failures_total", reason="init_hung"))
    began = time.monotonic()
    now = running.scrape()
    assert time.monotonic() - began < DEADLINE_S
    assert shown(now) == set()


def test_a_restart_of_the_driver_counts_nothing_twice(running: Running) -> None:
    before = running.scrape()
    running.control("driver-gone")
    gone = running.until(lambda now: now.value("gpu_exporter_gpus", state="driver") == GPUS)
    assert shown(gone) == set()
    running.control("driver-starts 6")
    after = running.well(GPUS)
    for uuid in UUIDS:
        energy = after.value("gpu_energy_joules_total", uuid=uuid) - before.value("gpu_energy_joules_total", uuid=uuid)
        seconds = after.value("gpu_observed_seconds_total", uuid=uuid) - before.value(
            "gpu_observed_seconds_total", uuid=uuid
        )
        assert 0 <= energy <= (seconds + 1) * 70 * 1.05  # an idle GPU's watts


def test_a_counter_that_is_reset_makes_no_leap(running: Running) -> None:
    before = running.scrape()
    running.control("reset 2 1")
    elapsed = "gpu_sm_cycles_elapsed_total"
    reset = running.until(lambda now: now.value(elapsed, uuid=UUIDS[2]) < now.value(elapsed, uuid=UUIDS[0]) / 2)
    time.sleep(2 * COLLECT_S)
    after = running.scrape()
    for uuid in (UUIDS[0], UUIDS[2]):
        assert uuid in grown(reset, after)
        energy, seconds = (
            after.value(name, uuid=uuid) - before.value(name, uuid=uuid)
            for name in ("gpu_energy_joules_total", "gpu_observed_seconds_total")
        )
        # An idle GPU's watts. A busy machine reads time and energy apart from each other: by less than a collection.
        assert energy == pytest.approx(seconds * 69.62, rel=0.05, abs=COLLECT_S * 69.62)


def test_an_xid_is_told_once(running: Running) -> None:
    running.control("xid 1 4 79")
    now = running.until(lambda now: now.values("gpu_xid_errors_total", uuid=UUIDS[4], xid="79"))
    assert now.value("gpu_xid_errors_total", uuid=UUIDS[4], xid="79") == 1
    running.control("xid 1 4 79", "xid 2 4 48")
    now = running.until(lambda now: now.values("gpu_xid_errors_total", uuid=UUIDS[4], xid="48"))
    assert now.value("gpu_xid_errors_total", uuid=UUIDS[4], xid="79") == 1


def test_ecc_errors_are_counted_by_kind(running: Running) -> None:
    running.control("ecc 1 5 2")
    now = running.until(lambda now: now.value("gpu_ecc_errors_total", uuid=UUIDS[1], kind="corrected") == 5)
    assert now.value("gpu_ecc_errors_total", uuid=UUIDS[1], kind="uncorrected") == 2
    assert now.value("gpu_ecc_errors_total", uuid=UUIDS[0], kind="corrected") == 0


@pytest.mark.parametrize("fault", ["nan", "broken"])
def test_a_metric_that_is_none_is_not_believed(running: Running, fault: str) -> None:
    running.control(f"{fault} 6")
    now = running.until(lambda now: not now.values("nvidia_gpu_sm_util_percent", uuid=UUIDS[6]))
    seconds = now.value("gpu_tensor_observed_seconds_total", uuid=UUIDS[6], source="gpm_counter")
    time.sleep(2 * COLLECT_S)
    after = running.scrape()
    assert after.value("gpu_tensor_observed_seconds_total", uuid=UUIDS[6], source="gpm_counter") == seconds
    assert UUIDS[6] in grown(now, after)  # what else it says is good
    assert after.value("nvidia_gpu_sm_util_percent", uuid=UUIDS[0]) == 0


def test_a_driver_without_the_counters_is_read_by_the_gauges(running: Running) -> None:
    running.control("old-driver")
    before = running.until(
        lambda now: now.values("gpu_tensor_observed_seconds_total", uuid=UUIDS[0], source="gpm_gauge")
    )
    time.sleep(2 * COLLECT_S)
    after = running.scrape()
    for uuid in UUIDS:
        first = before.value("gpu_tensor_observed_seconds_total", uuid=uuid, source="gpm_gauge")
        assert after.value("gpu_tensor_observed_seconds_total", uuid=uuid, source="gpm_gauge") > first


def test_a_child_that_is_killed_is_replaced(running: Running) -> None:
    pid = int(Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split()[0])
    before = running.scrape()
    os.kill(pid, signal.SIGKILL)
    time.sleep(4 * COLLECT_S)
    after = running.well(GPUS)
    assert grown(before, after) == set(UUIDS)
    assert after.value("gpu_exporter_gpus", state="crashed") == 0
