"""How findings come and go: pure functions, so that nothing flaps.

A verdict is about a whole window of time that ends now: YES, it was so throughout; NO, it was not so. A finding opens
with the first YES, and closes when every look for a whole window said NO. UNKNOWN (not measured, too young, between
the two thresholds) opens nothing and closes nothing: missing telemetry is never idleness, and never its end. GONE: the
subject has ended.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

IDLE, ACTIVE = 0.01, 0.05  # busy: below the first it does nothing, from the second on it works
BUSY, NO_TENSOR = 0.9, 0.001  # busy throughout, and its tensor cores never
SILENT_WATTS = 300  # no GPU of the peak table draws so much while it does nothing
SEEN_LEAST = 0.8  # of a window: of less nothing is said


class Verdict(StrEnum):
    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Standing:
    """An open finding: when its condition last held, and since when every look said NO."""

    seen_at: datetime
    clear_since: datetime | None


@dataclass(frozen=True, slots=True)
class Next:
    """What becomes of it: `standing` None: there is none, or it closes."""

    standing: Standing | None
    opens: bool = False
    closes: bool = False


def follow(before: Standing | None, verdict: Verdict, moment: datetime, window: timedelta) -> Next:
    if before is None:
        return Next(Standing(moment, None), opens=True) if verdict == Verdict.YES else Next(None)
    if verdict == Verdict.GONE:
        return Next(None, closes=True)
    if verdict == Verdict.YES:
        return Next(Standing(moment, None))
    if verdict == Verdict.UNKNOWN:
        return Next(Standing(before.seen_at, None))
    since = before.clear_since or moment
    return Next(None, closes=True) if moment - since >= window else Next(Standing(before.seen_at, since))


# --- jobs -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GpuWindow:
    """One GPU of a job over the window, in seconds. None: it does not say."""

    uuid: str
    node: str
    observed: float
    busy: float | None
    tensor_observed: float | None
    tensor_busy: float | None
    joules: float | None

    def share(self) -> float | None:
        return None if self.busy is None or not self.observed else self.busy / self.observed

    def watts(self) -> float | None:
        return None if self.joules is None or not self.observed else self.joules / self.observed

    def tensor_share(self) -> float | None:
        return (
            self.tensor_busy / self.tensor_observed if self.tensor_observed and self.tensor_busy is not None else None
        )

    def is_seen(self, window_s: float) -> bool:
        return self.observed >= SEEN_LEAST * window_s and self.share() is not None

    def is_tensor_seen(self, window_s: float) -> bool:
        return (self.tensor_observed or 0.0) >= SEEN_LEAST * window_s and self.tensor_share() is not None


def idle_of(gpus: Sequence[GpuWindow], window_s: float) -> tuple[Verdict, list[GpuWindow]]:
    """Of a job that has run for the whole window; and the GPUs that did nothing."""
    seen = [gpu for gpu in gpus if gpu.is_seen(window_s)]
    idle = [gpu for gpu in seen if (gpu.share() or 0.0) < IDLE]
    if idle:
        return Verdict.YES, idle
    works = len(seen) == len(gpus) and bool(seen) and all((gpu.share() or 0.0) >= ACTIVE for gpu in seen)
    return (Verdict.NO if works else Verdict.UNKNOWN), []


def silent_of(gpus: Sequence[GpuWindow], window_s: float, *, declared: bool) -> tuple[Verdict, list[GpuWindow]]:
    """Figures that do not fit each other: busy without tensor work that the job says it does, or power without use.

    A slice's power is reckoned, not read: it accuses nobody.
    """
    seen = [gpu for gpu in gpus if gpu.is_seen(window_s)]
    found = [gpu for gpu in seen if _is_dead(gpu) or (declared and _is_without_tensor(gpu, window_s))]
    if found:
        return Verdict.YES, found
    known = len(seen) == len(gpus) and bool(seen) and all(gpu.is_tensor_seen(window_s) or not declared for gpu in seen)
    return (Verdict.NO if known else Verdict.UNKNOWN), []


def _is_dead(gpu: GpuWindow) -> bool:
    return gpu.uuid.startswith("GPU-") and not gpu.busy and (gpu.watts() or 0.0) > SILENT_WATTS


def _is_without_tensor(gpu: GpuWindow, window_s: float) -> bool:
    busy, tensor = gpu.share() or 0.0, gpu.tensor_share()
    return gpu.is_tensor_seen(window_s) and busy > BUSY and tensor is not None and tensor < NO_TENSOR


# --- exporters ------------------------------------------------------------------------------------------------------


def exporter_of(
    *,
    failures: int,
    answered_at: datetime | None,
    scraped: bool | None,
    moment: datetime,
    window: timedelta,
    every_s: float,
) -> tuple[Verdict, list[str]]:
    """Of one node: what the portal asks, and what Prometheus scrapes (None: Prometheus does not say). Nobody asking,
    which leaves no failure, is no exporter's fault."""
    reasons = []
    silent_s = failures * every_s if answered_at is None else (moment - answered_at).total_seconds()
    if failures and silent_s >= window.total_seconds():
        reasons.append("no_answer")
    if scraped is False:
        reasons.append("not_scraped")
    if reasons:
        return Verdict.YES, reasons
    fresh = answered_at is not None and moment - answered_at < window
    return (Verdict.NO if not failures and fresh and scraped is not False else Verdict.UNKNOWN), []
