"""Events and runs become intervals: pure functions. Times are integers, microseconds since 1970.

The nodes' hooks say *which* GPUs a run had; slurmdbd says *when* it ran, and that is what was charged. So an event is
matched to the run of its job number that it belongs to, and the interval lies inside the run's own times: a lost
epilog leaves no stale owner, a lost prolog no missing one, a duplicate changes nothing. There is one interval for a
GPU and a run, so that no second is counted twice, whatever was lost.

An interval has two pairs of times. `started`/`ended` is the *ownership*: prolog, run and epilog together; nobody else
can have been on the GPU. `charged_from`/`charged_to` is the part inside the run's own times.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

SECOND = 1_000_000
# So much may an event differ from slurmdbd's time without meaning anything: hooks wait for a node, clocks drift.
CLOCK_US = 60 * SECOND
# An epilog runs after the end that slurmdbd has; so much before it may be the drift of a clock.
DRIFT_US = 2 * SECOND
# Prologs and epilogs take minutes at most. What an event says beyond that is a clock, not an owner.
HOOK_US = 300 * SECOND
START, END = "start", "end"


class Known(StrEnum):
    """How a time of an interval is known."""

    EVENT = "event"  # the hook said so, and slurmdbd agrees
    RECORD = "record"  # the event was lost: slurmdbd's time
    RESIZED = "resized"  # the hook said so, long before or after slurmdbd's: the job had the GPU for a part of its run
    CLOCK = "clock"  # the node's clock is off by the same at both ends: slurmdbd's time
    OPEN = "open"  # it still runs
    NEXT = "next"  # of a run that slurmdbd does not show (yet): the next owner's start


@dataclass(frozen=True, slots=True, order=True)
class Event:
    """One line of a node's spool, for one GPU."""

    at: int
    kind: str  # START or END
    gpu: str
    job: int


@dataclass(frozen=True, slots=True)
class RunTimes:
    """A run of a job number, as slurmdbd or squeue has it: `key` tells runs of one number apart (the submit time)."""

    key: int
    started: int
    ended: int | None  # None: it runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """`run` is None for a job that slurmdbd does not show among ours: it owns, and nothing is charged for it."""

    gpu: str
    job: int
    run: int | None
    started: int
    ended: int | None
    charged_from: int | None
    charged_to: int | None
    start_known: Known
    end_known: Known

    def charged_us(self, moment: int) -> int:
        if self.charged_from is None:
            return 0
        return max(0, (moment if self.charged_to is None else self.charged_to) - self.charged_from)


@dataclass(slots=True)
class _Evidence:
    """The events of one GPU that belong to one run: the first start and the last end, duplicates folded."""

    start: int | None = None
    end: int | None = None

    def take(self, event: Event) -> None:
        if event.kind == START:
            self.start = event.at if self.start is None else min(self.start, event.at)
        else:
            self.end = event.at if self.end is None else max(self.end, event.at)


def intervals_of(events: Iterable[Event], runs: Sequence[RunTimes]) -> list[Interval]:
    """All intervals of one job number: `events` are all that the nodes have of it, `runs` all runs of that number.

    Any order, any duplicates, any losses.
    """
    by_gpu: dict[str, list[Event]] = defaultdict(list)
    for event in sorted(set(events)):
        by_gpu[event.gpu].append(event)
    started = sorted(runs, key=lambda run: (run.started, run.key))
    found = []
    for gpu, of_gpu in by_gpu.items():
        matched: dict[int, _Evidence] = defaultdict(_Evidence)
        unmatched = []
        for event in of_gpu:
            run = _run_of(event, started)
            if run is None:
                unmatched.append(event)
            else:
                matched[run.key].take(event)
        found += [_of_run(gpu, of_gpu[0].job, run, matched[run.key]) for run in started if run.key in matched]
        found += _foreign(gpu, unmatched)
    return [interval for interval in found if interval.ended is None or interval.ended >= interval.started]


def _run_of(event: Event, runs: Sequence[RunTimes]) -> RunTimes | None:
    """A prolog runs about when its run starts; an epilog after its run's end, and before the next run's.

    A run that slurmdbd shows as running takes an end where no ended run fits: its own end is on the way.
    """
    if event.kind == START:
        return min(runs, key=lambda run: abs(run.started - event.at), default=None)
    begun = [run for run in runs if run.started <= event.at + DRIFT_US]
    ended = [run for run in begun if run.ended is not None and run.ended <= event.at + DRIFT_US]
    if ended:
        last = max(ended, key=lambda run: run.ended or 0)
        later = [run for run in begun if run not in ended and run.started >= (last.ended or 0)]
        far = event.at - (last.ended or 0) > HOOK_US
        return later[-1] if later and far else last
    if begun:
        return begun[-1]  # a GPU given back before its run ended, or a run whose end is not known yet
    return min(runs, key=lambda run: abs((run.ended or run.started) - event.at), default=None)


def _of_run(gpu: str, job: int, run: RunTimes, seen: _Evidence) -> Interval:
    charged_from, start_known = run.started, Known.RECORD if seen.start is None else Known.EVENT
    charged_to, end_known = run.ended, Known.RECORD if seen.end is None else Known.EVENT
    if run.ended is None:
        charged_to, end_known = seen.end, Known.OPEN if seen.end is None else Known.EVENT
    late = 0 if seen.start is None else seen.start - run.started
    early = 0 if seen.end is None or run.ended is None else run.ended - seen.end
    if seen.start is not None and seen.end is not None and abs(late + early) <= CLOCK_US < abs(late):
        return _interval(gpu, job, run, run.started, run.ended, Known.CLOCK, Known.CLOCK)
    if late > CLOCK_US:
        charged_from, start_known = seen.start or run.started, Known.RESIZED
    if early > CLOCK_US:
        charged_to, end_known = seen.end, Known.RESIZED
    if run.ended is not None and charged_to is not None:  # nothing outside the run, whatever a clock said
        charged_from, charged_to = min(charged_from, run.ended), min(max(charged_to, run.started), run.ended)
    if charged_to is not None and charged_to < charged_from:
        charged_to = charged_from
    started = charged_from if seen.start is None else max(min(seen.start, charged_from), charged_from - HOOK_US)
    ended = charged_to
    if charged_to is not None and seen.end is not None:
        ended = min(max(seen.end, charged_to), charged_to + HOOK_US)
    return _interval(gpu, job, run, charged_from, charged_to, start_known, end_known, started, ended)


def _interval(
    gpu: str,
    job: int,
    run: RunTimes,
    charged_from: int,
    charged_to: int | None,
    start_known: Known,
    end_known: Known,
    started: int | None = None,
    ended: int | None = None,
) -> Interval:
    return Interval(
        gpu=gpu,
        job=job,
        run=run.key,
        started=charged_from if started is None else started,
        ended=charged_to if ended is None else ended,
        charged_from=charged_from,
        charged_to=charged_to,
        start_known=start_known,
        end_known=end_known,
    )


def _foreign(gpu: str, events: Sequence[Event]) -> list[Interval]:
    """Of a job without any run that is known: starts and ends in their order. An end alone says nothing."""
    found: list[Interval] = []
    start: Event | None = None
    for event in events:
        if event.kind == START:
            start = start or event
        elif start is not None:
            found.append(_unknown(gpu, start, event.at))
            start = None
    return [*found, _unknown(gpu, start, None)] if start is not None else found


def _unknown(gpu: str, start: Event, ended: int | None) -> Interval:
    return Interval(
        gpu=gpu,
        job=start.job,
        run=None,
        started=start.at,
        ended=ended,
        charged_from=None,
        charged_to=None,
        start_known=Known.EVENT,
        end_known=Known.OPEN if ended is None else Known.EVENT,
    )


def owners_settle(intervals: Iterable[Interval]) -> list[Interval]:
    """The intervals of one GPU in order, each open one ended where another job took the GPU.

    A job holds its GPUs until its epilog is over: a next owner is proof that the one before is gone, though its own end
    is not known yet. What is charged is cut with it, and comes back when slurmdbd has said the end.
    """
    found: list[Interval] = []
    for interval in sorted(intervals, key=lambda one: (one.started, one.job)):
        if found and found[-1].ended is None:
            found[-1] = _ended_by(found[-1], interval.started)
        found.append(interval)
    return found


def _ended_by(interval: Interval, moment: int) -> Interval:
    charged_to = None if interval.charged_from is None else max(interval.charged_from, moment)
    return Interval(
        gpu=interval.gpu,
        job=interval.job,
        run=interval.run,
        started=interval.started,
        ended=moment,
        charged_from=interval.charged_from,
        charged_to=charged_to,
        start_known=interval.start_known,
        end_known=Known.NEXT,
    )


# --- what slurmdbd has, beside what the nodes have ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Residual:
    """GPU-time of one run in microseconds of whole devices. charged + outside = owned + without_event, exactly.

    `owned`: what the nodes' intervals have; `outside`: the part of it before the run's start or after its end, prolog
    and epilog, which nobody is charged for; `without_event`: charged, and no node has said on which GPU (negative where
    more GPUs were seen than the run has); `resized`: the part of that where the node gave the GPU back early or took
    it late.
    """

    charged: int
    owned: int
    outside: int
    without_event: int
    resized: int


def residual_of(run: RunTimes, devices: int, intervals: Sequence[Interval], moment: int) -> Residual:
    """Telemetry's GPU-time against slurmdbd's, by cause. `intervals` are those of the run."""
    ended = moment if run.ended is None else run.ended
    charged = devices * max(0, ended - run.started)
    inside = sum(interval.charged_us(ended) for interval in intervals)
    owned = sum((ended if one.ended is None else one.ended) - one.started for one in intervals)
    whole = len(intervals) * max(0, ended - run.started)
    return Residual(charged, owned, owned - inside, charged - inside, max(0, whole - inside))
