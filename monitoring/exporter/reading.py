"""One reading of one GPU and its slices, through NVML. Only in the collecting child: any call here may never return.

A value that the driver does not have is not in the reading; a GPU that is lost raises, and with it all that the driver
said about it. Times are CLOCK_MONOTONIC, the same in every process of the node.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pynvml

from monitoring.exporter import gpm
from monitoring.exporter.looks import Clock, Seldom, clock_now

ALL_LINKS = 0xFFFFFFFF
# One batch: {field id: name in the reading}.
FIELDS = {
    3: "ecc_corrected",
    4: "ecc_uncorrected",
    82: "memory_temperature_c",
    138: "nvlink_sent_kib",
    139: "nvlink_received_kib",
    142: "remapped_corrected",
    143: "remapped_uncorrected",
    144: "remapped_pending",
    145: "remapped_failed",
    186: "power_mw",
}
# Another: on an H100 (driver 580.159.04) it takes 5 to 6 ms of CPU, the batch above 0.2.
SELDOM = {83: "energy_mj", 197: "pcie_sent_bytes", 198: "pcie_received_bytes"}
PER_LINK = (138, 139)
MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")  # of a field's value, by its type
SLICE_NAME = re.compile(r"MIG (\d+g\.\d+gb)")
TYPE_NAME = re.compile(r"\b([A-Z]{1,3}\d{2,4}[A-Z]?)\b")
# The driver, and with it every GPU, must be begun anew.
DRIVER_ERRORS = (
    pynvml.NVML_ERROR_UNINITIALIZED,
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
)
GPU_ERRORS = (pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED, pynvml.NVML_ERROR_GPU_NOT_FOUND)


def gpu_type_of(name: str) -> str:
    """The portal's and Slurm's word for it: "h100", of a slice "h100_1g.10gb"; "" where the name says nothing."""
    found, part = TYPE_NAME.search(name), SLICE_NAME.search(name)
    return (found[1].lower() if found else "") + (f"_{part[1]}" if found and part else "")


class Gpu:
    """A GPU by its NVML index. What never changes is asked once."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        self.about = _about(self.handle, "") | {"minor": pynvml.nvmlDeviceGetMinorNumber(self.handle)}
        self.clock_most_mhz = maybe(pynvml.nvmlDeviceGetMaxClockInfo, self.handle, pynvml.NVML_CLOCK_SM)
        mode = maybe(pynvml.nvmlDeviceGetMigMode, self.handle)
        self.slices = list(_slices(self.handle)) if mode and mode[0] else []
        self.clock, self.seldom = Clock(), Seldom(lambda: _fields(self.handle, SELDOM))
        self.pair: gpm.Pair | None = None
        if not self.slices and gpm.is_supported(self.handle):
            self.pair = gpm.Pair(lambda sample: pynvml.nvmlGpmSampleGet(self.handle, sample))

    def read(self, *, fully: bool = False) -> dict[str, Any]:
        """`fully`: also what costs much. Raises NVMLError."""
        if fully or self.seldom.is_cheap:
            self.seldom.read()
        values = _fields(self.handle, FIELDS) | self.seldom.values
        looked = maybe(clock_now, self.handle)
        values |= present(
            sm_clock_mhz=looked and looked[1],
            memory_clock_mhz=maybe(pynvml.nvmlDeviceGetClockInfo, self.handle, pynvml.NVML_CLOCK_MEM),
            sm_clock_most_mhz=self.clock_most_mhz,
            reasons=maybe(pynvml.nvmlDeviceGetCurrentClocksEventReasons, self.handle),
            temperature_c=maybe(_temperature, self.handle),
        )
        values |= _memory(self.handle)
        rates = None if self.slices else maybe(pynvml.nvmlDeviceGetUtilizationRates, self.handle)
        if rates:
            values |= {"utilisation": rates.gpu / 100, "memory_utilisation": rates.memory / 100}
        clock = self.clock.take(*looked) if looked else {}
        whole = self.about | {"at": time.monotonic(), "values": values, "clock": clock, "gpm": self._gpm(self.pair)}
        return {"index": self.index, "devices": [whole, *(self._slice(one) for one in self.slices)]}

    def _gpm(self, pair: gpm.Pair | None) -> dict[str, Any]:
        return (maybe(pair.read) if pair else None) or {}

    def _slice(self, one: dict[str, Any]) -> dict[str, Any]:
        values = _memory(one["handle"])
        about = {name: value for name, value in one.items() if name not in ("handle", "pair")}
        read = self._gpm(one["pair"])
        return about | {"minor": self.about["minor"], "at": time.monotonic(), "values": values, "gpm": read}


def _about(handle: Any, instance: str) -> dict[str, Any]:
    name = pynvml.nvmlDeviceGetName(handle)
    return {
        "uuid": pynvml.nvmlDeviceGetUUID(handle),
        "name": name,
        "instance": instance,
        "gpu_type": gpu_type_of(name),
    }


def _slices(parent: Any) -> Any:
    for index in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(parent)):
        handle = maybe(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, parent, index)
        if handle is None:  # fewer than could be
            continue
        instance = pynvml.nvmlDeviceGetGpuInstanceId(handle)
        attributes = maybe(pynvml.nvmlDeviceGetAttributes_v2, handle)
        yield _about(handle, str(instance)) | {
            "handle": handle,
            "slices": attributes.gpuInstanceSliceCount if attributes else 0,
            "pair": gpm.Pair(_sample_of(parent, instance)),
        }


def _sample_of(parent: Any, instance: int) -> Callable[[Any], Any]:
    return lambda sample: pynvml.nvmlGpmMigSampleGet(parent, instance, sample)


def _fields(handle: Any, names: dict[int, str]) -> dict[str, Any]:
    asked = [(field, ALL_LINKS) if field in PER_LINK else field for field in names]
    found = {}
    for value in pynvml.nvmlDeviceGetFieldValues(handle, asked):
        if value.nvmlReturn == pynvml.NVML_SUCCESS and value.valueType < len(MEMBERS):
            found[names[value.fieldId]] = getattr(value.value, MEMBERS[value.valueType])
    return found


def _memory(handle: Any) -> dict[str, Any]:
    memory = maybe(pynvml.nvmlDeviceGetMemoryInfo, handle, pynvml.nvmlMemory_v2)
    return {"memory_total_bytes": memory.total, "memory_used_bytes": memory.used} if memory else {}


def _temperature(handle: Any) -> int:
    try:
        return int(pynvml.nvmlDeviceGetTemperatureV(handle, pynvml.NVML_TEMPERATURE_GPU))
    except pynvml.NVMLError_FunctionNotFound:  # drivers before 555
        return int(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU))


def maybe(call: Callable[..., Any], *arguments: Any) -> Any:
    """What the call answers, or None where this driver or GPU does not have it. Raises what concerns more than that."""
    try:
        return call(*arguments)
    except pynvml.NVMLError as error:
        if error.value in DRIVER_ERRORS or error.value in GPU_ERRORS:
            raise
        return None


def present(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
