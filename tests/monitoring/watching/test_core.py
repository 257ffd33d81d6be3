"""Nothing flaps: what comes and goes within a window is one finding, or none."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.watching.core import GpuWindow, Standing, Verdict, exporter_of, follow, idle_of, silent_of

NOON = datetime(2026, 6, 10, 12, tzinfo=UTC)
WINDOW, TICK = timedelta(minutes=30), timedelta(minutes=1)
W = WINDOW.total_seconds()
IDLE = GpuWindow("GPU-a", "n1", W, 0.0, W, 0.0, 70 * W)
BUSY = GpuWindow("GPU-b", "n1", W, W, W, 0.4 * W, 600 * W)


@given(st.lists(st.sampled_from(list(Verdict)), max_size=120))
def test_it_opens_with_a_yes_and_closes_only_after_a_window_of_noes_or_the_end(verdicts: list[Verdict]) -> None:
    standing, quiet = None, 0
    for number, verdict in enumerate(verdicts):
        becomes = follow(standing, verdict, NOON + number * TICK, WINDOW)
        assert not (becomes.opens and becomes.closes)
        if standing is None:
            assert becomes.opens == (verdict == Verdict.YES)
        elif becomes.closes:
            assert verdict == Verdict.GONE or quiet >= WINDOW / TICK
        quiet = quiet + 1 if verdict == Verdict.NO else 0
        standing = becomes.standing


@given(st.lists(st.sampled_from([Verdict.YES, Verdict.NO]), min_size=1, max_size=200))
def test_two_findings_of_one_thing_lie_a_window_apart(verdicts: list[Verdict]) -> None:
    standing, closed_at = None, None
    for number, verdict in enumerate(verdicts):
        moment = NOON + number * TICK
        becomes = follow(standing, verdict, moment, WINDOW)
        if becomes.opens and closed_at is not None:
            assert standing is None
        if becomes.closes:
            assert standing is not None
            assert moment - standing.seen_at >= WINDOW
            closed_at = moment
        standing = becomes.standing


def test_missing_telemetry_neither_opens_nor_closes() -> None:
    assert follow(None, Verdict.UNKNOWN, NOON, WINDOW).standing is None
    nearly = Standing(NOON - 2 * WINDOW, NOON - WINDOW + TICK)
    again = follow(nearly, Verdict.UNKNOWN, NOON, WINDOW)
    assert again.standing == Standing(NOON - 2 * WINDOW, None)
    assert not again.closes


@pytest.mark.parametrize(
    ("gpus", "verdict", "found"),
    [
        ([], Verdict.UNKNOWN, 0),  # younger than the window
        ([IDLE, BUSY], Verdict.YES, 1),
        ([BUSY, BUSY], Verdict.NO, 0),
        ([replace(BUSY, busy=0.03 * W)], Verdict.UNKNOWN, 0),  # between the thresholds
        ([replace(IDLE, observed=0.7 * W)], Verdict.UNKNOWN, 0),  # not seen for long enough
        ([replace(IDLE, observed=0.0, busy=None)], Verdict.UNKNOWN, 0),
        ([BUSY, replace(IDLE, observed=0.0)], Verdict.UNKNOWN, 0),
    ],
)
def test_idle(gpus: list[GpuWindow], verdict: Verdict, found: int) -> None:
    said, idle = idle_of(gpus, W)
    assert (said, len(idle)) == (verdict, found)


@given(st.floats(0, 0.79), st.floats(0, 1))
def test_what_was_hardly_seen_is_never_idle(seen: float, busy: float) -> None:
    gpu = replace(IDLE, observed=seen * W, busy=busy * seen * W)
    assert idle_of([gpu], W)[0] == Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("gpu", "declared", "verdict"),
    [
        (replace(BUSY, tensor_busy=0.0), True, Verdict.YES),
        (replace(BUSY, tensor_busy=0.0), False, Verdict.NO),  # it never said that it uses them
        (BUSY, True, Verdict.NO),
        (replace(BUSY, tensor_observed=None, tensor_busy=None), True, Verdict.UNKNOWN),  # an A100
        (replace(BUSY, busy=0.0), False, Verdict.YES),  # 600 W and idle
        (replace(BUSY, uuid="MIG-a", busy=0.0), False, Verdict.NO),  # a slice's power is reckoned
        (IDLE, True, Verdict.NO),
        (replace(BUSY, busy=0.0, observed=0.5 * W), False, Verdict.UNKNOWN),
    ],
)
def test_silent_zeros(gpu: GpuWindow, declared: bool, verdict: Verdict) -> None:
    assert silent_of([gpu], W, declared=declared)[0] == verdict


@pytest.mark.parametrize(
    ("failures", "age", "scraped", "verdict", "reasons"),
    [
        (0, 10, True, Verdict.NO, []),
        (0, 10, None, Verdict.NO, []),
        (3, 60, True, Verdict.UNKNOWN, []),
        (30, 1_900, True, Verdict.YES, ["no_answer"]),
        (0, 10, False, Verdict.YES, ["not_scraped"]),
        (0, 9_999, True, Verdict.UNKNOWN, []),  # nobody asks: no exporter's fault
        (200, None, None, Verdict.YES, ["no_answer"]),
        (1, None, None, Verdict.UNKNOWN, []),
    ],
)
def test_exporters(failures: int, age: int | None, scraped: bool | None, verdict: Verdict, reasons: list[str]) -> None:
    answered_at = None if age is None else NOON - timedelta(seconds=age)
    said = exporter_of(
        failures=failures, answered_at=answered_at, scraped=scraped, moment=NOON, window=WINDOW, every_s=15
    )
    assert said == (verdict, reasons)
