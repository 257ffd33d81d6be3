"""All that is known of this node's GPUs: the last good reading of each device, its counters, and how each GPU is."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from monitoring.exporter.counting import SLICES_WHOLE, Counters, energy_joules_between, increase_between

OK = "ok"
STATES = (OK, "lost", "hung", "crashed", "failed", "driver")
GAP_INTERVALS = 2.5  # readings further apart than that many collections say nothing about what was between them


@dataclass
class Device:
    """A GPU, or a slice of one."""

    reading: dict[str, Any]
    ordinal: int
    counters: Counters = field(default_factory=Counters)
    is_fresh: bool = True
    has_slices: bool = False

    @property
    def labels(self) -> tuple[str, str, str, str, str]:
        one = self.reading
        return (str(self.ordinal), str(one["minor"]), one["uuid"], one["name"], one["instance"])


@dataclass
class Node:
    """Written by the collecting thread, read by the server's; `lock` is held for moments."""

    collect_s: float
    devices: dict[str, Device] = field(default_factory=dict)
    states: dict[int, str] = field(default_factory=dict)  # by NVML index
    uuids: dict[int, str] = field(default_factory=dict)  # of the whole GPUs, as last seen
    failures: Counter[str] = field(default_factory=Counter)
    xids: Counter[tuple[str, int]] = field(default_factory=Counter)
    driver: str = ""
    profile: str | None = None
    collect_seconds: float = 0.0
    stuck_processes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, reading: dict[str, Any]) -> None:
        """One GPU's reading, with its slices."""
        with self.lock:
            index, (whole, *slices) = reading["index"], reading["devices"]
            self.states[index] = OK
            self.uuids[index] = whole["uuid"]
            known = self.devices.get(whole["uuid"])
            gpu_before = known.reading if known and known.is_fresh else None
            energy = energy_joules_between(gpu_before, whole) if gpu_before else None
            shares = [one["slices"] / SLICES_WHOLE for one in slices]
            self._take(whole, index, whole, gpu_before, energy, 1 - sum(shares), has_slices=bool(slices))
            for one, share in zip(slices, shares, strict=True):
                self._take(one, index, whole, gpu_before, energy, share)
            there = {one["uuid"] for one in reading["devices"]}
            for uuid in [uuid for uuid, one in self.devices.items() if one.ordinal == index and uuid not in there]:
                del self.devices[uuid]  # slices made anew, or another GPU in its place

    def _take(
        self,
        one: dict[str, Any],
        index: int,
        whole: dict[str, Any],
        gpu_before: dict[str, Any] | None,
        energy: float | None,
        share: float,
        has_slices: bool = False,
    ) -> None:
        """share: of the GPU's energy that is this device's, so that the sum over all devices is the GPU's."""
        device = self.devices.setdefault(one["uuid"], Device(one, index))
        if device.is_fresh and gpu_before and device.reading is not one:
            gap_most_s = self.collect_s * GAP_INTERVALS
            increase = increase_between(device.reading, one, gpu_before=gpu_before, gpu=whole, gap_most_s=gap_most_s)
            if increase and not has_slices:
                device.counters.add(increase, one["at"])
            if energy is not None and one["at"] - device.reading["at"] <= gap_most_s:
                device.counters.energy_joules += energy * share
        device.counters.has_energy |= "energy_mj" in whole["values"]
        device.reading, device.ordinal, device.is_fresh, device.has_slices = one, index, True, has_slices

    def fail(self, index: int, state: str, reason: str) -> None:
        with self.lock:
            self.states[index] = state if state in STATES else "failed"
            self.failures[reason] += 1
            self._expire(lambda one: one.ordinal == index)

    def driver_fail(self, reason: str, state: str = "driver") -> None:
        """No GPU can be read at all."""
        with self.lock:
            self.failures[reason] += 1
            self.states = dict.fromkeys(self.states, state)
            self._expire(lambda one: True)

    def expire(self, before_at: float) -> None:
        """Drop what was read before then: a value is shown once its time, never repeated."""
        with self.lock:
            self._expire(lambda one: one.reading["at"] < before_at)

    def _expire(self, which: Any) -> None:
        for one in self.devices.values():
            if which(one):
                one.is_fresh = False
