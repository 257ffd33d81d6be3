"""The rule that keeps a submission at once or not at all, against every course of events that Hypothesis thinks of."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.clusters.adapters.protocol import AccountingRecord
from scheduler.jobs.worker.lookup import (
    ATTEMPT_LASTS_S,
    LOOKUPS_APART_S,
    MARGIN_ABOVE_S,
    TRIED_FOR_S,
    Answer,
    Search,
    Trace,
    Verdict,
    Wanted,
    decide,
    trace_of,
)

T0 = datetime(2026, 6, 1, 8, 0, 0, tzinfo=UTC)
SEARCH = Search(
    first_attempt_at=T0,
    last_attempt_at=T0,
    bound=False,
    started=False,
    cancel_requested=False,
    denied_since=None,
    looked_at=None,
)
TIMEOUT_S = 10
MARGIN_S = TIMEOUT_S + MARGIN_ABOVE_S


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def answer(seconds: float, **facts) -> Answer:
    return Answer(at=at(seconds), booted_at=at(-3600), **facts)


def look(search: Search, *answers: Answer) -> list[Verdict]:
    """The verdicts of look-ups one after another, kept between them as the job's row keeps it."""
    verdicts = []
    for one in answers:
        finding = decide(search, one, message_timeout_s=TIMEOUT_S)
        verdicts.append(finding.verdict)
        if finding.verdict is not Verdict.WAIT:
            search = replace(search, denied_since=finding.denied_since, looked_at=one.at)
    return verdicts


W, U, R = Verdict.WAIT, Verdict.UNKNOWN, Verdict.RETRY
E0 = ATTEMPT_LASTS_S


def test_nothing_is_said_while_an_attempt_may_still_run():
    assert look(SEARCH, answer(1), answer(E0 - 1)) == [W, W]


def test_a_bound_job_may_be_doubted_at_once():
    assert look(replace(SEARCH, bound=True), answer(6), answer(6 + MARGIN_S)) == [U, R]


def test_denied_for_the_margin_is_tried_again():
    assert look(SEARCH, answer(E0), answer(E0 + MARGIN_S - 1), answer(E0 + MARGIN_S)) == [U, U, R]


def test_one_look_up_is_never_enough():
    assert look(SEARCH, answer(E0 + 1000)) == [U]


def test_what_was_found_is_present_at_any_time():
    assert look(SEARCH, answer(0, in_queue=True)) == [Verdict.PRESENT]
    assert look(SEARCH, answer(0, trace=Trace.STARTED)) == [Verdict.PRESENT]


def test_a_record_that_never_started_is_no_proof_of_a_job():
    """slurmctld was killed after it told slurmdbd: the record stays pending for ever."""
    late = [answer(E0, trace=Trace.WAITING), answer(E0 + MARGIN_S, trace=Trace.WAITING)]
    assert look(SEARCH, *late) == [U, R]


def test_slurmdbd_must_have_heard_everything():
    late = [answer(E0), answer(E0 + MARGIN_S, dbd_queue=3), answer(E0 + MARGIN_S + 1)]
    assert look(SEARCH, *late) == [U, U, R]


def test_a_restart_of_slurmctld_begins_the_margin_anew():
    rebooted = replace(answer(E0 + MARGIN_S), booted_at=at(E0 + 5))
    later = replace(answer(E0 + 2 * MARGIN_S), booted_at=at(E0 + 5))
    assert look(SEARCH, answer(E0), rebooted, later) == [U, U, R]


def test_look_ups_far_apart_say_nothing_about_the_time_between():
    far = E0 + LOOKUPS_APART_S + 1
    assert look(SEARCH, answer(E0), answer(far), answer(far + MARGIN_S)) == [U, U, R]


def test_an_unanswered_look_up_begins_the_margin_anew():
    again = replace(SEARCH, denied_since=None, looked_at=at(E0 + MARGIN_S - 1))  # as cluster_away leaves it
    assert look(again, answer(E0 + MARGIN_S)) == [U]


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        ({}, Verdict.RETRY),
        ({"cancel_requested": True}, Verdict.CANCELLED),
        ({"bound": True}, Verdict.RETRY),
        ({"bound": True, "started": True}, Verdict.LOST),
        ({"bound": True, "started": True, "cancel_requested": True}, Verdict.CANCELLED),
        ({"first_attempt_at": at(-TRIED_FOR_S)}, Verdict.GIVE_UP),
        ({"first_attempt_at": at(-TRIED_FOR_S), "bound": True}, Verdict.RETRY),
    ],
)
def test_what_becomes_of_a_denied_job(facts, verdict):
    assert look(replace(SEARCH, **facts), answer(E0), answer(E0 + MARGIN_S))[-1] is verdict


# --- a world in which slurmctld hangs, restarts and answers late ---------------------------------------------------


@st.composite
def worlds(draw):
    """An attempt at 0 and what slurmctld does, second by second: answer, hang (or be away), or have just started again.

    The job appears, if at all, at most MessageTimeout after slurmctld first answers once the attempt has ended; hangs
    that a look-up meets do not count, slurmctld does nothing in them. That much is known of Slurm.
    """
    spans = draw(st.lists(st.tuples(st.sampled_from("uhb"), st.integers(1, 40)), min_size=1, max_size=8))
    seconds, met, every = "", [], draw(st.integers(1, 30))
    for kind, length in [*spans, ("u", 200)]:
        first = len(seconds)
        seconds += kind * (length if kind != "b" else 1)
        met += [kind == "h" and any(second % every == 0 for second in range(first, len(seconds)))] * (
            len(seconds) - first
        )
    ends_at = draw(st.integers(0, ATTEMPT_LASTS_S - 1))
    first_answer = next(second for second in range(ends_at, len(seconds)) if seconds[second] != "h")
    counted = [second for second in range(first_answer, len(seconds)) if not met[second]][:TIMEOUT_S]
    appears = draw(st.none() | st.sampled_from([second for second in counted if seconds[second] != "h"]))
    return seconds, appears, every


@settings(max_examples=400)
@given(worlds())
def test_a_job_that_appears_is_never_denied_before(world):
    seconds, appears, every = world
    search, boot = SEARCH, at(-3600)
    for second, state in enumerate(seconds):
        if state == "b":
            boot = at(second)
        if second % every:
            continue
        if state == "h":
            search = replace(search, denied_since=None)  # cluster_away
            continue
        exists = appears is not None and appears <= second
        one = Answer(at=at(second), booted_at=boot, in_queue=exists)
        finding = decide(search, one, message_timeout_s=TIMEOUT_S)
        if finding.verdict is Verdict.PRESENT:
            return
        assert not exists
        if finding.verdict is Verdict.RETRY:
            assert appears is None
            return
        if finding.verdict is Verdict.UNKNOWN:
            search = replace(search, denied_since=finding.denied_since, looked_at=one.at)
    raise AssertionError("nothing was decided in the long calm at the end")


# --- recognising a job --------------------------------------------------------------------------------------------

WANTED = Wanted(comment="k", user="minh", account="sl-a", qos="q", attempted_at=T0 + timedelta(milliseconds=900))
RECORD = AccountingRecord(
    job_id_raw=1,
    job_id="1",
    account="sl-a",
    user="minh",
    qos="q",
    partition="h100",
    state="PENDING",
    submit_at=T0,
    start_at=None,
    end_at=None,
    elapsed_s=0,
    gpus={},
    comment="k",
)


def test_a_job_of_the_same_second_fits():
    assert WANTED.fits(RECORD)


@pytest.mark.parametrize(
    "other", [{"comment": "x"}, {"user": "hoa"}, {"account": "sl-b"}, {"qos": "r"}, {"submit_at": at(-60)}]
)
def test_everything_must_fit(other):
    assert not WANTED.fits(replace(RECORD, **other))


@pytest.mark.parametrize(
    ("states", "trace"),
    [
        ([], Trace.NONE),
        (["PENDING"], Trace.WAITING),
        (["RUNNING"], Trace.STARTED),
        (["CANCELLED"], Trace.STARTED),
        (["PENDING", "COMPLETED"], Trace.STARTED),
    ],
)
def test_what_slurmdbd_has_of_a_job(states, trace):
    assert trace_of(replace(RECORD, state=state) for state in states) is trace
