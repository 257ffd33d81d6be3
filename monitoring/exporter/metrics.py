"""What /metrics says. The names that begin with nvidia_gpu_ are jobstats', with its labels and units (among them shares
named percent, and milliwatts): dashboards and reports made for it go on working. Ours have base units.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from monitoring.exporter import VERSION
from monitoring.exporter.node import STATES, Device, Node
from monitoring.exporter.reports import Reports
from monitoring.exporter.spool import Spool

LABELS = ("ordinal", "minor_number", "uuid", "name", "GPU_I_ID")
KIB, MHZ = 1024, 1e6

Value = Callable[[dict[str, Any]], float | None]


def value(name: str, factor: float = 1) -> Value:
    def read(one: dict[str, Any]) -> float | None:
        found = one["values"].get(name)
        return None if found is None else found * factor

    return read


def gpm(metric: int, factor: float = 1) -> Value:
    def read(one: dict[str, Any]) -> float | None:
        found = (one["gpm"].get("values") or {}).get(str(metric))
        return None if found is None else found * factor

    return read


# Of the last reading, while it is fresh.
GAUGES: tuple[tuple[str, str, Value], ...] = (
    ("nvidia_gpu_duty_cycle", "Percent of time in which a kernel ran", value("utilisation", 100)),
    ("nvidia_gpu_memory_used_bytes", "Memory used", value("memory_used_bytes")),
    ("nvidia_gpu_memory_total_bytes", "Memory there is", value("memory_total_bytes")),
    ("nvidia_gpu_power_usage_milliwatts", "Power drawn now", value("power_mw")),
    ("nvidia_gpu_temperature_celsius", "Temperature of the GPU", value("temperature_c")),
    ("nvidia_gpu_sm_util_percent", "Share of SMs that were busy, 0 to 1", gpm(2, 0.01)),
    ("nvidia_gpu_sm_occupancy_percent", "Share of warps that were active, 0 to 1", gpm(3, 0.01)),
    ("nvidia_gpu_any_tensor_util_percent", "Share of time with any tensor pipe active, 0 to 1", gpm(5, 0.01)),
    ("nvidia_gpu_fp64_util_percent", "Share of time with FP64 outside tensor pipes, 0 to 1", gpm(11, 0.01)),
    ("nvidia_gpu_fp32_util_percent", "Share of time with FP32 outside tensor pipes, 0 to 1", gpm(12, 0.01)),
    ("nvidia_gpu_fp16_util_percent", "Share of time with FP16 outside tensor pipes, 0 to 1", gpm(13, 0.01)),
    ("gpu_hmma_ratio", "Share of time with the HMMA tensor pipe active", gpm(7, 0.01)),
    ("gpu_imma_ratio", "Share of time with the IMMA tensor pipe active", gpm(9, 0.01)),
    ("gpu_dfma_ratio", "Share of time with the DFMA tensor pipe active", gpm(6, 0.01)),
    ("gpu_dram_bandwidth_ratio", "Share of the memory bandwidth that was used", gpm(10, 0.01)),
    ("gpu_memory_utilisation_ratio", "Share of time in which memory was read or written", value("memory_utilisation")),
    ("gpu_sm_clock_hertz", "SM clock", value("sm_clock_mhz", MHZ)),
    ("gpu_sm_clock_most_hertz", "Highest SM clock", value("sm_clock_most_mhz", MHZ)),
    ("gpu_memory_clock_hertz", "Memory clock", value("memory_clock_mhz", MHZ)),
    ("gpu_memory_temperature_celsius", "Temperature of the memory", value("memory_temperature_c")),
    ("gpu_clock_event_reasons", "NVML's bits for why the clock is what it is", value("reasons")),
    ("gpu_row_remap_pending", "A row of memory waits for a reset to be exchanged", value("remapped_pending")),
    ("gpu_row_remap_failed", "A row of memory could not be exchanged", value("remapped_failed")),
)
# The driver's own, as it has them; they begin anew with it.
COUNTERS: tuple[tuple[str, str, Value], ...] = (
    ("gpu_sm_cycles_elapsed", "SM cycles that passed", gpm(248)),
    ("gpu_sm_active_cycles", "SM cycles with work", gpm(249)),
    ("gpu_tensor_cycles", "SM cycles with any tensor pipe active", gpm(250)),
    ("gpu_hmma_cycles", "SM cycles with the HMMA tensor pipe active", gpm(252)),
    ("gpu_imma_cycles", "SM cycles with the IMMA tensor pipe active", gpm(253)),
    ("gpu_dfma_cycles", "SM cycles with the DFMA tensor pipe active", gpm(254)),
    ("gpu_nvlink_transmit_bytes", "Sent over NVLink", value("nvlink_sent_kib", KIB)),
    ("gpu_nvlink_receive_bytes", "Received over NVLink", value("nvlink_received_kib", KIB)),
    ("gpu_pcie_transmit_bytes", "Sent over PCIe", value("pcie_sent_bytes")),
    ("gpu_pcie_receive_bytes", "Received over PCIe", value("pcie_received_bytes")),
)
# Ours: sums over pairs of good readings. They stand still while a GPU cannot be read.
SUMS: tuple[tuple[str, str, Callable[[Device], float | None]], ...] = (
    ("gpu_observed_seconds", "Covered by pairs of good readings", lambda one: one.counters.observed_seconds),
    ("gpu_busy_seconds", "In which kernels ran", lambda one: one.counters.busy_seconds),
    ("gpu_throttled_seconds", "In which the clock was held down", lambda one: one.counters.throttled_seconds),
    ("gpu_tensor_busy_seconds", "With a tensor pipe active, averaged over SMs", lambda one: _tensor(one, "busy")),
    (
        "gpu_tensor_clock_cycles",
        "Clock cycles with a tensor pipe active, averaged over SMs",
        lambda one: _tensor(one, ""),
    ),
)


def _tensor(one: Device, which: str) -> float | None:
    """None, and no series, while nothing could be read of the tensor pipes: never 0."""
    if not one.counters.tensor_observed_seconds:
        return None
    return one.counters.tensor_busy_seconds if which else one.counters.tensor_clock_cycles


class NodeCollector:
    """For a registry of prometheus_client."""

    def __init__(self, node: Node, spool: Spool, reports: Reports) -> None:
        self.node, self.spool, self.reports = node, spool, reports

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        with self.node.lock:
            devices = sorted(
                self.node.devices.values(), key=lambda one: (one.ordinal, len(one.labels[4]), one.labels[4])
            )
            fresh = [one for one in devices if one.is_fresh]
            families = [
                *self._readings(fresh),
                *self._sums(devices),
                *self._infos(devices, fresh),
                *self._health(fresh),
            ]
        yield from families
        yield from self._owners(fresh)

    def _readings(self, fresh: list[Device]) -> Iterator[Metric]:
        for kind, rows in ((GaugeMetricFamily, GAUGES), (CounterMetricFamily, COUNTERS)):
            for name, text, read in rows:
                family = kind(name, text, labels=LABELS)
                for one in fresh:
                    found = read(one.reading)
                    if found is not None:
                        family.add_metric(one.labels, found)
                yield family

    def _sums(self, devices: list[Device]) -> Iterator[Metric]:
        for name, text, read in SUMS:
            family = CounterMetricFamily(name, text, labels=LABELS)
            for one in devices:
                found = None if one.has_slices else read(one)
                if found is not None:
                    family.add_metric(one.labels, found)
            yield family
        tensor = CounterMetricFamily(
            "gpu_tensor_observed_seconds",
            "For which the tensor pipes could be read, and how",
            labels=(*LABELS, "source"),
        )
        energy = CounterMetricFamily(
            "gpu_energy_joules", "From the driver's counter; a slice's by its share of the GPU", labels=LABELS
        )
        for one in devices:
            for source, seconds in one.counters.tensor_observed_seconds.items():
                tensor.add_metric((*one.labels, source), seconds)
            if one.counters.has_energy:
                energy.add_metric(one.labels, one.counters.energy_joules)
        age = GaugeMetricFamily("gpu_reading_age_seconds", "Since the last reading that the sums hold", labels=LABELS)
        now = time.monotonic()
        for one in devices:
            if one.counters.counted_at and not one.has_slices:
                age.add_metric(one.labels, now - one.counters.counted_at)
        yield from (tensor, energy, age)

    def _infos(self, devices: list[Device], fresh: list[Device]) -> Iterator[Metric]:
        info = GaugeMetricFamily(
            "gpu_info",
            "What the device is",
            labels=(*LABELS, "driver_version", "emulated", "profile", "gpu_type", "parent"),
        )
        profile = self.node.profile
        for one in fresh:
            about = (self.node.driver, "false" if profile is None else "true", profile or "", one.reading["gpu_type"])
            parent = self.node.uuids.get(one.ordinal, "") if one.labels[4] else ""
            info.add_metric((*one.labels, *about, parent), 1)
        count = GaugeMetricFamily("nvidia_gpu_num_devices", "GPUs of this node that answer")
        count.add_metric((), sum(state == "ok" for state in self.node.states.values()))
        ecc = CounterMetricFamily("gpu_ecc_errors", "Since the driver came up", labels=("uuid", "kind"))
        for one in fresh:
            for kind in ("corrected", "uncorrected"):
                found = one.reading["values"].get(f"ecc_{kind}")
                if found is not None:
                    ecc.add_metric((one.labels[2], kind), found)
        yield from (info, count, ecc)

    def _health(self, fresh: list[Device]) -> Iterator[Metric]:
        node = self.node
        gpus = GaugeMetricFamily("gpu_exporter_gpus", "GPUs by how they are", labels=("state",))
        for state in STATES:
            gpus.add_metric((state,), sum(one == state for one in node.states.values()))
        up = GaugeMetricFamily(
            "gpu_up", "Does this GPU answer, by the UUID that it last had", labels=("uuid", "ordinal", "state")
        )
        for index, uuid in node.uuids.items():
            up.add_metric((uuid, str(index), node.states[index]), node.states[index] == "ok")
        failures = CounterMetricFamily("gpu_exporter_collect_failures", "Readings that failed", labels=("reason",))
        for reason, number in sorted(node.failures.items()):
            failures.add_metric((reason,), number)
        xids = CounterMetricFamily("gpu_xid_errors", "XID errors told by the driver", labels=("uuid", "xid"))
        for (uuid, xid), number in sorted(node.xids.items()):
            xids.add_metric((uuid, str(xid)), number)
        seconds = GaugeMetricFamily("gpu_exporter_collect_seconds", "How long the last collection took")
        seconds.add_metric((), node.collect_seconds)
        stuck = GaugeMetricFamily("gpu_exporter_stuck_processes", "Killed and still in the driver")
        stuck.add_metric((), node.stuck_processes)
        refused = CounterMetricFamily("gpu_exporter_refused_reports", "Jobs' own reports refused", labels=("reason",))
        for reason, number in sorted(self.reports.refused_counts.items()):
            refused.add_metric((reason,), number)
        version = GaugeMetricFamily("gpu_exporter_info", "This exporter", labels=("version",))
        version.add_metric((VERSION,), 1)
        yield from (gpus, up, failures, xids, seconds, stuck, refused, version)

    def _owners(self, fresh: list[Device]) -> Iterator[Metric]:
        owners = self.spool.shown
        jobs = GaugeMetricFamily(
            "nvidia_gpu_jobId", "Slurm's number of the job that owns the GPU, 0 without", labels=LABELS
        )
        uids = GaugeMetricFamily("nvidia_gpu_jobUid", "Whose job it is", labels=LABELS)
        info = GaugeMetricFamily("gpu_job_info", "The job that owns the GPU", labels=(*LABELS, "jobid", "userid"))
        for one in fresh:
            if one.has_slices:
                continue
            owner = owners.get(one.labels[2])
            jobs.add_metric(one.labels, owner.job if owner else 0)
            uids.add_metric(one.labels, owner.uid if owner else 0)
            if owner:
                info.add_metric((*one.labels, str(owner.job), str(owner.uid)), 1)
        reported = CounterMetricFamily(
            "job_reported_flop", "Declared by the job itself", labels=("jobid", "precision", "sparsity")
        )
        for job, precision, sparsity, total in self.reports.of_jobs({(one.job, one.uid) for one in owners.values()}):
            reported.add_metric((str(job), precision, sparsity), float(total))
        booted = GaugeMetricFamily("gpu_exporter_scrape_timestamp_seconds", "The node's own clock, to compare")
        booted.add_metric((), time.time())
        yield from (jobs, uids, info, reported, booted)
