"""Intervals from events and runs: whatever is lost, repeated or late, no second is invented or counted twice."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.attribution.core import (
    END,
    HOOK_US,
    SECOND,
    START,
    Event,
    Interval,
    Known,
    RunTimes,
    intervals_of,
    owners_settle,
    residual_of,
)

JOB, GPU = 7, "GPU-a"


def run(started: float, ended: float | None, key: int = 1) -> RunTimes:
    return RunTimes(key, round(started * SECOND), None if ended is None else round(ended * SECOND))


def event(kind: str, at: float, gpu: str = GPU, job: int = JOB) -> Event:
    return Event(round(at * SECOND), kind, gpu, job)


def only(events: Sequence[Event], *runs: RunTimes) -> Interval:
    (found,) = intervals_of(events, runs)
    return found


def charged_s(interval: Interval) -> tuple[float, float | None]:
    assert interval.charged_from is not None
    ended = interval.charged_to
    return interval.charged_from / SECOND, None if ended is None else ended / SECOND


# --- one run ------------------------------------------------------------------------------------------------------


def test_prolog_and_epilog_lie_around_what_is_charged() -> None:
    found = only([event(START, 998), event(END, 2_007)], run(1_000, 2_000))
    assert charged_s(found) == (1_000, 2_000)
    assert (found.started, found.ended) == (998 * SECOND, 2_007 * SECOND)
    assert (found.start_known, found.end_known) == (Known.EVENT, Known.EVENT)


@pytest.mark.parametrize(
    ("kinds", "known"),
    [([START], (Known.EVENT, Known.RECORD)), ([END], (Known.RECORD, Known.EVENT)), ([], None)],
)
def test_slurmdbd_fills_in_what_was_lost(kinds: list[str], known: tuple[Known, Known] | None) -> None:
    at = {START: 999.0, END: 2_001.0}
    found = intervals_of([event(kind, at[kind]) for kind in kinds], [run(1_000, 2_000)])
    if known is None:
        assert found == []  # nobody said on which GPU
    else:
        assert charged_s(found[0]) == (1_000, 2_000)
        assert (found[0].start_known, found[0].end_known) == known


def test_a_running_job_is_open_until_its_end_is_known() -> None:
    assert charged_s(only([event(START, 999)], run(1_000, None))) == (1_000, None)
    ended = only([event(START, 999), event(END, 1_500)], run(1_000, None))
    assert charged_s(ended) == (1_000, 1_500)
    assert charged_s(only([event(START, 999), event(END, 1_500)], run(1_000, 1_498))) == (1_000, 1_498)


def test_an_epilog_lost_with_its_node_leaves_no_stale_owner() -> None:
    """The node rebooted: slurmdbd says NODE_FAIL at 1,200; the next job comes much later."""
    assert charged_s(only([event(START, 999)], run(1_000, 1_200))) == (1_000, 1_200)


def test_duplicates_and_an_end_before_its_start_change_nothing() -> None:
    twice = [event(START, 999), event(START, 999), event(START, 999.4), event(END, 2_001), event(END, 2_001.5)]
    assert charged_s(only(twice, run(1_000, 2_000))) == (1_000, 2_000)
    assert charged_s(only([event(START, 2_000.2), event(END, 999.8)], run(1_000, 1_001))) == (1_001, 1_001)


def test_a_clock_that_is_off_at_both_ends_is_told_from_a_job_that_was_resized() -> None:
    skewed = only([event(START, 1_000 + 3_600), event(END, 2_000 + 3_605)], run(1_000, 2_000))
    assert charged_s(skewed) == (1_000, 2_000)
    assert skewed.start_known == skewed.end_known == Known.CLOCK
    shrunk = only([event(START, 1_000), event(END, 1_500)], run(1_000, 2_000))
    assert charged_s(shrunk) == (1_000, 1_500)
    assert shrunk.end_known == Known.RESIZED
    grown = only([event(START, 1_500), event(END, 2_000)], run(1_000, 2_000))
    assert charged_s(grown) == (1_500, 2_000)


def test_what_an_event_says_far_outside_the_run_owns_nothing() -> None:
    found = only([event(START, -90_000), event(END, 90_000)], run(1_000, 2_000))
    assert charged_s(found) == (1_000, 2_000)
    assert (found.started, found.ended) == (1_000 * SECOND - HOOK_US, 2_000 * SECOND + HOOK_US)


# --- several runs of one number -----------------------------------------------------------------------------------


def test_a_requeued_job_has_an_interval_for_each_run() -> None:
    runs = [run(0, 10, key=1), run(20, 40, key=2)]
    events = [
        event(START, 0), event(END, 17, GPU), event(START, 20, "GPU-b"), event(END, 41, "GPU-b"),
    ]  # fmt: skip
    found = intervals_of(events, runs)
    assert [(one.gpu, one.run, charged_s(one)) for one in found] == [(GPU, 1, (0, 10)), ("GPU-b", 2, (20, 40))]


def test_a_requeue_that_lost_the_events_between_its_runs() -> None:
    found = intervals_of([event(START, 0), event(END, 41)], [run(0, 10, key=1), run(20, 40, key=2)])
    assert [(one.run, charged_s(one)) for one in found] == [(1, (0, 10)), (2, (20, 40))]


def test_a_job_that_slurmdbd_does_not_show_owns_and_is_not_charged() -> None:
    closed = only([event(START, 5), event(END, 9)])
    assert (closed.run, closed.started, closed.ended, closed.charged_us(99)) == (None, 5 * SECOND, 9 * SECOND, 0)
    assert only([event(START, 5)]).ended is None
    assert intervals_of([event(END, 5)], []) == []


def test_a_next_owner_is_proof_that_the_one_before_is_gone() -> None:
    stale, fresh = only([event(START, 5)]), only([event(START, 50, job=8)], run(50, 60))
    assert [(one.ended, one.end_known) for one in owners_settle([fresh, stale])] == [
        (50 * SECOND, Known.NEXT),
        (60 * SECOND, Known.RECORD),
    ]


# --- the residual -------------------------------------------------------------------------------------------------


def test_the_residual_is_told_by_cause_and_adds_up() -> None:
    ran = run(1_000, 2_000)
    two = [
        only([event(START, 990, gpu), event(END, end, gpu)], ran) for gpu, end in (("GPU-a", 2_005), ("GPU-b", 1_500))
    ]
    found = residual_of(ran, 3, two, 0)
    assert found.charged + found.outside == found.owned + found.without_event
    assert found.charged == 3_000 * SECOND
    assert found.outside == (10 + 5 + 10) * SECOND
    assert found.without_event == (1_000 + 500) * SECOND  # the third GPU whole, the second one's half
    assert found.resized == 500 * SECOND


# --- whatever is lost ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Truth:
    """What ran where, and every event that a healthy node writes of it."""

    runs: dict[int, list[RunTimes]]  # by job
    owned: dict[tuple[str, int, int], tuple[int, int]]  # gpu, job, run: from, to
    events: list[Event]


@st.composite
def truths(draw: st.DrawFn) -> Truth:
    """Jobs one after another on three GPUs, some requeued, on the same or on other GPUs, each with its hooks."""
    runs: dict[int, list[RunTimes]] = {}
    owned, events, clock = {}, [], 1_000_000 * SECOND
    for job in range(1, draw(st.integers(1, 4)) + 1):
        for key in range(draw(st.integers(1, 3))):
            gpus = draw(st.sets(st.sampled_from(["a", "b", "c"]), min_size=1))
            started = clock
            ended = started + draw(st.integers(5, 4_000)) * SECOND
            runs.setdefault(job, []).append(RunTimes(key, started, ended))
            clock = ended
            for gpu in sorted(gpus):
                owned[gpu, job, key] = (started, ended)
                hook = ended + draw(st.integers(0, 40 * SECOND))
                events.append(Event(started - draw(st.integers(0, SECOND)), START, gpu, job))
                events.append(Event(hook, END, gpu, job))
                clock = max(clock, hook)
            clock += 3 * SECOND
    return Truth(runs, owned, events)


def intervals_from(truth: Truth, events: Sequence[Event]) -> list[Interval]:
    return [
        interval
        for job, runs in truth.runs.items()
        for interval in intervals_of([one for one in events if one.job == job], runs)
    ]


@given(truths(), st.data())
def test_lost_and_repeated_events_never_invent_or_double_a_second(truth: Truth, data: st.DataObject) -> None:
    events = data.draw(st.lists(st.sampled_from(truth.events), max_size=2 * len(truth.events)))
    found = intervals_from(truth, events)
    keys = [(one.gpu, one.job, one.run) for one in found]
    assert len(keys) == len(set(keys))  # once each
    for one in found:
        assert one.run is not None
        assert (one.charged_from, one.charged_to) == truth.owned[one.gpu, one.job, one.run]
    by_gpu: dict[str, list[tuple[int, int]]] = {}
    for one in found:
        by_gpu.setdefault(one.gpu, []).append((one.charged_from or 0, one.charged_to or 0))
    for times in by_gpu.values():
        times.sort()
        assert all(first[1] <= second[0] for first, second in pairwise(times))


@given(truths())
def test_with_every_event_every_second_is_found(truth: Truth) -> None:
    found = {
        (one.gpu, one.job, one.run): (one.charged_from, one.charged_to) for one in intervals_from(truth, truth.events)
    }
    assert found == truth.owned


times = st.integers(0, 10_000 * SECOND)


@given(
    st.lists(st.builds(Event, times, st.sampled_from([START, END]), st.sampled_from(["a", "b"]), st.just(JOB))),
    st.lists(st.tuples(times, times), max_size=4),
)
def test_nonsense_stays_inside_the_runs(events: list[Event], spans: list[tuple[int, int]]) -> None:
    runs = {number: RunTimes(number, min(span), max(span)) for number, span in enumerate(spans)}
    for one in intervals_of(events, list(runs.values())):
        if one.run is not None:
            owner = runs[one.run]
            assert owner.started <= (one.charged_from or 0) <= (one.charged_to or 0) <= (owner.ended or 0)
            assert one.started <= (one.charged_from or 0)
            assert (one.ended or 0) >= (one.charged_to or 0)
