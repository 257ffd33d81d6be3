"""What is looked at between two readings, in a thread of its own. Only in the child.

The SM clock, because readings miss most of it: an H100 at its power cap changes its clock every 0.1 s, by 50 to 100
MHz, and by 500 where work begins or ends. The mean of both ends of 5 s was off by -3 to +14 % there, that of looks
every 0.25 s by +0.3 to +2.7 % (H100 80GB HBM3, driver 580.159.04). And the counters of energy and PCIe, because to read
them takes 5 to 6 ms of CPU there, three times as much as all the rest of a reading.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pynvml

if TYPE_CHECKING:
    from monitoring.exporter.reading import Gpu

LOOK_S = 0.25
APART_MOST_S = 1.0  # between two looks; further apart, something hung and the mean is none
STEADY = 1.1  # two clocks that differ by no more have their mean between them; otherwise work began or ended
CHEAP_S = 0.001
SELDOM_PART = 3000  # what is not cheap takes this part of a core for each GPU: 0.27 % for eight


class Clock:
    """One GPU's SM clock since it was last asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._before: tuple[float, float] | None = None  # the last look: monotonic time, MHz
        self._since = 0.0
        self._mhz_seconds = 0.0
        self._is_whole = False

    def look(self, at: float, mhz: float) -> None:
        with self._lock:
            self._add(at, mhz)

    def take(self, at: float, mhz: float) -> dict[str, float]:
        """{"since": monotonic time of the last take, "mhz": the mean since then}; {} where nobody looked for a while.

        It is never below the clock's mean, as far as looks show it: where the clock jumped, the higher one counts for
        all of the time between the two looks.
        """
        with self._lock:
            self._add(at, mhz)
            passed_s = at - self._since
            is_whole = self._is_whole and passed_s > 0
            found = {"since": self._since, "mhz": self._mhz_seconds / passed_s} if is_whole else {}
            self._since, self._mhz_seconds, self._is_whole = at, 0.0, True
            return found

    def _add(self, at: float, mhz: float) -> None:
        if self._before is not None:
            seconds, (low, high) = at - self._before[0], sorted((self._before[1], mhz))
            if seconds < 0:  # another thread looked later and was here first
                return
            self._mhz_seconds += seconds * (high if high > low * STEADY else (low + high) / 2)
            self._is_whole &= seconds <= APART_MOST_S
        self._before = (at, mhz)


class Seldom:
    """Values of one GPU that a real driver is slow to tell, as they were last read: counters, which go on meanwhile.

    Where they are cheap each reading reads them. Elsewhere the thread does, as often as their part of the CPU allows
    (an H100's are up to 20 s old), and the reading with which a job is seen to begin or end: its energy is its own.
    """

    def __init__(self, read: Callable[[], dict[str, Any]]) -> None:
        self.values: dict[str, Any] = {}
        self.every_s = 0.0
        self._read = read
        self._next_at = 0.0
        self._lock = threading.Lock()  # counters: what was read first must not be kept last

    @property
    def is_cheap(self) -> bool:
        return self.every_s == 0

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self._next_at

    def read(self) -> None:
        """Raises NVMLError."""
        with self._lock:
            at, cpu_s = time.monotonic(), time.thread_time()
            self.values = self._read()
            cost_s = time.thread_time() - cpu_s
            self.every_s = cost_s * SELDOM_PART if cost_s > CHEAP_S else 0.0
            self._next_at = at + self.every_s


def look_always(gpus: dict[int, Gpu]) -> None:
    """Until the process ends; `gpus` changes meanwhile. Why a GPU does not answer is said by who reads it."""
    while True:
        time.sleep(LOOK_S)
        look(gpus.copy())


def look(gpus: dict[int, Gpu]) -> None:
    """Once at each clock, and at one GPU's slow values: those of several would make a scrape wait."""
    for gpu in gpus.values():
        with contextlib.suppress(pynvml.NVMLError):
            gpu.clock.look(*clock_now(gpu.handle))
    for gpu in gpus.values():
        if not gpu.seldom.is_cheap and gpu.seldom.is_due:
            with contextlib.suppress(pynvml.NVMLError):
                return gpu.seldom.read()


def clock_now(handle: Any) -> tuple[float, int]:
    """(monotonic time, MHz). Raises NVMLError."""
    mhz = pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM)
    return time.monotonic(), mhz
