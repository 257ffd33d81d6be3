"""GPM (GPU performance monitoring, Hopper and later): what two samples of one device say. Only in the child."""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Callable
from typing import Any

import pynvml

# Gauges between the two samples, in percent (1–13) and MiB/s; from 248 on, counts since the driver came up.
GAUGES = (1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13)
COUNTERS = (248, 249, 250, 251, 252, 253, 254, 257, 258, 259, 260)
APART_S = 0.12  # samples nearer than 100 ms say nothing
TRIES_MOST = 3


class Pair:
    """One device's last sample and the next one. Each reader has its own: two that share a pair read nonsense."""

    def __init__(self, sample_get: Callable[[Any], Any]) -> None:
        self._sample_get = sample_get  # of this GPU, or of this slice of it
        self._before: Any = None
        self._before_at = 0.0
        self._asked: list[int] = [*GAUGES, *COUNTERS]
        self._denied: dict[int, int] = {}

    def read(self) -> dict[str, Any]:
        """{"since": monotonic time of the earlier sample, "values": {metric id: value}}, empty on the first call.

        A metric whose own result is an error, or that is no number, is not in it. Raises NVMLError.
        """
        now = time.monotonic()
        if self._before is not None and now - self._before_at < APART_S:
            time.sleep(APART_S - (now - self._before_at))
            now = time.monotonic()
        after = pynvml.nvmlGpmSampleAlloc()
        try:
            self._sample_get(after)
            read = {} if self._before is None else {"since": self._before_at, "values": self._metrics(after)}
        except BaseException:
            pynvml.nvmlGpmSampleFree(after)
            raise
        if self._before is not None:
            pynvml.nvmlGpmSampleFree(self._before)
        self._before, self._before_at = after, now
        return read

    def _metrics(self, after: Any) -> dict[str, float]:
        if not self._asked:
            return {}
        asked = pynvml.c_nvmlGpmMetricsGet_t()
        asked.version = pynvml.NVML_GPM_METRICS_GET_VERSION
        asked.numMetrics = len(self._asked)
        asked.sample1, asked.sample2 = self._before, after
        for place, metric in enumerate(self._asked):
            asked.metrics[place].metricId = metric
        pynvml.nvmlGpmMetricsGet(asked)
        values: dict[str, float] = {}
        for place in range(asked.numMetrics):
            metric = asked.metrics[place]
            if metric.nvmlReturn == pynvml.NVML_SUCCESS and math.isfinite(metric.value):
                values[str(metric.metricId)] = metric.value
            elif metric.nvmlReturn in (pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_INVALID_ARGUMENT):
                self._denied[metric.metricId] = self._denied.get(metric.metricId, 0) + 1
        # What this driver has said three times that it has not is not asked for again.
        self._asked = [metric for metric in self._asked if self._denied.get(metric, 0) < TRIES_MOST]
        return values


def is_supported(handle: Any) -> bool:
    try:
        return bool(pynvml.nvmlGpmQueryDeviceSupport(handle).isSupportedDevice)
    except pynvml.NVMLError:
        return False


assert ctypes.sizeof(pynvml.c_nvmlGpmMetric_t) == 40  # the driver's structure, of which only the length varies
