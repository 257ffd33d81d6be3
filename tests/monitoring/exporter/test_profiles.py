"""Every kind of GPU, through nvidia-ml-py as on a real node: what is known of it, and what can be known of it only."""

import math
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from monitoring.emulator import profiles
from tests.monitoring.exporter.conftest import Running, Scrape

GPUS = 2
SOURCES = {"h100-580": "gpm_gauge", "a100": None}
LABELS = {"ordinal", "minor_number", "uuid", "name", "GPU_I_ID"}
STEADY_S = 1.6
# Whoever made dashboards and reports for the jobstats stack reads these, in these units.
JOBSTATS = {
    "nvidia_gpu_duty_cycle": lambda load: load.utilisation * 100,
    "nvidia_gpu_memory_used_bytes": lambda load: load.memory_mib << 20,
    "nvidia_gpu_memory_total_bytes": None,
    "nvidia_gpu_power_usage_milliwatts": lambda load: load.power_mw,
    "nvidia_gpu_temperature_celsius": lambda load: load.temperature_c,
    "nvidia_gpu_jobId": lambda load: 17,
    "nvidia_gpu_jobUid": lambda load: 65534,
    "nvidia_gpu_sm_util_percent": lambda load: load.shares["active"],
    "nvidia_gpu_any_tensor_util_percent": lambda load: load.shares["mma"],
    "nvidia_gpu_sm_occupancy_percent": lambda load: load.occupancy,
}
CAMEL_CASE = {"nvidia_gpu_jobId", "nvidia_gpu_jobUid"}  # jobstats'; promtool would have them otherwise


class Watched:
    """A profile under the load fp8 on its first device, seen twice in steady state."""

    def __init__(self, running: Running) -> None:
        self.profile = running.profile
        running.well(GPUS)
        running.hook("start", 17, "0")
        running.job_file(17, "emulator-load", "fp8")
        self.uuid = running.until(lambda now: now.labels("gpu_job_info")).labels("gpu_job_info")[0]["uuid"]
        time.sleep(STEADY_S)
        self.before = running.scrape()
        time.sleep(STEADY_S)
        self.after = running.scrape()

    def rise(self, name: str, **labels: str) -> float:
        return self.after.value(name, uuid=self.uuid, **labels) - self.before.value(name, uuid=self.uuid, **labels)


@pytest.fixture(scope="module", params=profiles.names())
def watched(request: pytest.FixtureRequest, exporter_on: Callable[..., Any]) -> Iterator[Watched]:
    with exporter_on(request.param, GPUS) as running:
        yield Watched(running)


@pytest.fixture
def truth(watched: Watched) -> profiles.Load:
    return profiles.truth(watched.profile, "fp8")


def test_each_device_says_what_it_is_and_that_it_is_emulated(watched: Watched) -> None:
    gpu = profiles.profile(watched.profile)
    infos = watched.after.labels("gpu_info")
    assert {one["emulated"] for one in infos} == {"true"}
    assert {one["profile"] for one in infos} == {watched.profile}
    assert {one["driver_version"] for one in infos} == {gpu["driver"]}
    parts = [f"_{name}" for name, *_ in gpu.get("slices", [])]
    wanted = [gpu["gpu_type"] + part for part in ["", *parts]] * GPUS
    assert sorted(one["gpu_type"] for one in infos) == sorted(wanted)
    assert {one["uuid"] for one in infos if not one["GPU_I_ID"]} == {
        profiles.gpu_uuid("gpu001", 0),
        profiles.gpu_uuid("gpu001", 1),
    }


def test_minor_numbers_are_the_driver_s_own(watched: Watched) -> None:
    for one in watched.after.labels("gpu_info"):
        assert int(one["minor_number"]) == profiles.profile(watched.profile)["minors"][int(one["ordinal"])]


def test_what_the_tensor_pipes_did_is_what_the_load_does(watched: Watched, truth: profiles.Load) -> None:
    source = SOURCES.get(watched.profile, "gpm_counter")
    if source is None:
        assert not watched.after.values("gpu_tensor_clock_cycles_total")  # absent, never 0
        assert not watched.after.values("gpu_tensor_observed_seconds_total")
        return
    seconds = watched.rise("gpu_tensor_observed_seconds_total", source=source)
    assert seconds > 0.5 * STEADY_S
    cycles = watched.rise("gpu_tensor_clock_cycles_total") / seconds
    assert cycles == pytest.approx(truth.clock_mhz * 1e6 * truth.shares["mma"], rel=0.005)
    assert watched.rise("gpu_tensor_busy_seconds_total") / seconds == pytest.approx(truth.shares["mma"], rel=0.005)


def test_busy_seconds_follow_the_load(watched: Watched, truth: profiles.Load) -> None:
    has_slices = "slices" in profiles.profile(watched.profile)
    wanted = truth.shares["active"] if has_slices else truth.utilisation
    share = watched.rise("gpu_busy_seconds_total") / watched.rise("gpu_observed_seconds_total")
    assert share == pytest.approx(wanted, rel=0.01)
    assert watched.rise("gpu_throttled_seconds_total") == 0


def test_energy_is_the_driver_s_and_slices_never_double_it(watched: Watched, truth: profiles.Load) -> None:
    gpu = profiles.profile(watched.profile)
    slices = {instance: part for _, instance, part, *_ in gpu.get("slices", [])}
    uuids = {one["uuid"] for one in watched.after.labels("gpu_info") if one["ordinal"] == "0" or not slices}
    total = sum(
        watched.after.value("gpu_energy_joules_total", uuid=uuid)
        - watched.before.value("gpu_energy_joules_total", uuid=uuid)
        for uuid in uuids
    )
    seconds = watched.rise("gpu_observed_seconds_total")
    idle_w = gpu["idle_power_mw"] / 1000
    if not slices:
        assert total / seconds == pytest.approx(truth.power_mw / 1000 + idle_w, rel=0.05)
        return
    instance = next(one["GPU_I_ID"] for one in watched.after.labels("gpu_info") if one["uuid"] == watched.uuid)
    part = slices[int(instance)] / 7
    if watched.uuid in uuids:
        assert total / seconds == pytest.approx(idle_w + (truth.power_mw / 1000 - idle_w) * part, rel=0.05)


def test_a_gpu_in_slices_counts_nothing_itself(watched: Watched) -> None:
    if "slices" not in profiles.profile(watched.profile):
        return
    whole = [one["uuid"] for one in watched.after.labels("gpu_info") if not one["GPU_I_ID"]]
    for name in ("gpu_observed_seconds_total", "gpu_tensor_clock_cycles_total", "nvidia_gpu_jobId"):
        assert not [uuid for uuid in whole if watched.after.values(name, uuid=uuid)], name


def test_jobstats_finds_its_names_labels_and_units(watched: Watched, truth: profiles.Load) -> None:
    if "slices" in profiles.profile(watched.profile):
        return  # jobstats shows no utilisation of slices; ownership of one is tested with the hooks
    for name, wanted in JOBSTATS.items():
        is_gpm = "util_percent" in name or "occupancy" in name
        if is_gpm and SOURCES.get(watched.profile, "") is None:
            assert not watched.after.values(name)
            continue
        assert {tuple(sorted(one)) for one in watched.after.labels(name)} == {tuple(sorted(LABELS))}, name
        if wanted:
            assert watched.after.value(name, uuid=watched.uuid) == pytest.approx(wanted(truth), rel=0.01), name
    assert watched.after.value("nvidia_gpu_num_devices") == GPUS


def test_promtool_has_nothing_against_the_names(watched: Watched) -> None:
    done = subprocess.run(
        ["/usr/bin/promtool", "check", "metrics"], input=watched.after.text, capture_output=True, text=True
    )
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.split()[0] not in CAMEL_CASE]
    assert said == []


def test_no_value_is_none_of_a_number(watched: Watched) -> None:
    assert not [one for one in watched.after.samples if not math.isfinite(one.value)]


def test_a_scrape_names_no_job_twice(watched: Watched) -> None:
    """A job's number stands on the info series and nowhere else: each other one would be a new series with each job."""
    named = {one.name for one in watched.after.samples if "jobid" in one.labels}
    assert named <= {"gpu_job_info", "job_reported_flop_total"}
    assert isinstance(watched.after, Scrape)
