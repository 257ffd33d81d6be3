"""Is this job in Slurm? Pure: what is known of a job and what one look-up answered in, what follows from it out.

A submission happens once or not at all. After an attempt whose outcome nobody saw, and for a bound job that has gone
missing, only evidence decides, and sbatch is never called before it has:

- present: squeue or slurmdbd shows the job. It is bound to what they show, never to what sbatch printed.
- denied: slurmctld answers and shows no such job; slurmdbd, to which slurmctld has nothing left to tell, shows none
  that ran; this was so in every look-up for longer than the margin, the attempt had ended before the first of them, and
  slurmctld was not started again in between. A job that a hung slurmctld still accepts appears within MessageTimeout of
  its answering.
- anything else is "unknown", and said so.

A denied job is put back into the queue and tried again: it is known not to exist, the person has asked for it, and the
same rule guards the next attempt. Exceptions: its cancellation was asked for; it was seen running (running it again
could do its work twice); or it was tried for too long.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from scheduler.clusters.adapters.protocol import AccountingRecord, QueueJob

# The submit wrapper runs sbatch under `timeout -k 2 20`; an sbatch that outlives a killed worker ends with it.
ATTEMPT_LASTS_S = 30
# Between taking the job and starting sbatch: a worker that was stopped for longer leaves it to the look-up.
ATTEMPT_STARTS_WITHIN_S = 2
MESSAGE_TIMEOUT_S = 10  # Slurm's default
MARGIN_ABOVE_S = 5
LOOKUPS_APART_S = 120  # two look-ups further apart than this say nothing about the time between them
CLOCK_TOLERANCE_S = 2  # between the worker's clock and slurmctld's, whose submit times are whole seconds
ACCOUNT_LATE_S = 180  # some cycles of the worker, in which the plan brings a new account or member to Slurm
TRIED_FOR_S = 86_400  # a job that could not be submitted for a day is refused: the person decides anew

OPEN_RECORD_STATES = frozenset({"PENDING", "REQUEUED_PENDING", "CONFIGURING"})


class Verdict(Enum):
    PRESENT = "present"
    WAIT = "wait"  # nothing can be said yet
    UNKNOWN = "unknown"  # looked for, not found, not denied yet
    RETRY = "retry"
    GIVE_UP = "give_up"
    CANCELLED = "cancelled"
    LOST = "lost"  # it ran, and neither squeue nor slurmdbd knows it any more


class Trace(Enum):
    """What slurmdbd has of a job."""

    NONE = "none"
    WAITING = "waiting"  # a record that never started: without squeue's word it is a leftover of a lost job
    STARTED = "started"


@dataclass(frozen=True)
class Search:
    """A job whose existence is in question."""

    first_attempt_at: datetime
    last_attempt_at: datetime
    bound: bool  # Slurm showed it once
    started: bool  # Slurm once showed it running
    cancel_requested: bool
    denied_since: datetime | None
    looked_at: datetime | None


@dataclass(frozen=True)
class Answer:
    """What one look-up was answered. `at` is when slurmctld answered, before squeue and slurmdbd were read.

    A look-up that was not answered is none: whoever notices it clears `denied_since`.
    """

    at: datetime
    booted_at: datetime | None = None
    dbd_queue: int = 0
    in_queue: bool = False
    trace: Trace = Trace.NONE


@dataclass(frozen=True)
class Finding:
    verdict: Verdict
    denied_since: datetime | None = None


def decide(search: Search, answer: Answer, *, message_timeout_s: int = MESSAGE_TIMEOUT_S) -> Finding:
    """What follows from one more look-up."""
    if answer.in_queue or answer.trace is Trace.STARTED:
        return Finding(Verdict.PRESENT)
    # What was bound is what the attempt made; nothing more can come of it.
    if not search.bound and answer.at < search.last_attempt_at + timedelta(seconds=ATTEMPT_LASTS_S):
        return Finding(Verdict.WAIT)
    since = _denied_since(search, answer)
    margin = timedelta(seconds=message_timeout_s + MARGIN_ABOVE_S)
    if answer.dbd_queue or answer.at - since < margin:
        return Finding(Verdict.UNKNOWN, since)
    if search.cancel_requested:
        return Finding(Verdict.CANCELLED, since)
    if search.started:
        return Finding(Verdict.LOST, since)
    if not search.bound and answer.at - search.first_attempt_at > timedelta(seconds=TRIED_FOR_S):
        return Finding(Verdict.GIVE_UP, since)
    return Finding(Verdict.RETRY, since)


def _denied_since(search: Search, answer: Answer) -> datetime:
    """Since when every look-up was answered "no" by a slurmctld that was not started again."""
    since, last = search.denied_since, search.looked_at
    unbroken = (
        since is not None
        and last is not None
        and answer.at - last <= timedelta(seconds=LOOKUPS_APART_S)
        and (answer.booted_at is None or answer.booted_at <= since)
    )
    return since if unbroken and since is not None else answer.at


@dataclass(frozen=True)
class Wanted:
    """By what a job is recognised before it is bound. Its comment alone is not enough: users can write any."""

    comment: str
    user: str
    account: str
    qos: str
    attempted_at: datetime

    def fits(self, line: QueueJob | AccountingRecord) -> bool:
        not_before = self.attempted_at.replace(microsecond=0) - timedelta(seconds=CLOCK_TOLERANCE_S)
        return (
            line.comment == self.comment
            and line.user == self.user
            and line.account == self.account
            and line.qos == self.qos
            and line.submit_at >= not_before
        )


def first_fit(wanted: Wanted, lines: Iterable[QueueJob]) -> QueueJob | None:
    """The earliest job that fits: a copy that its owner made of it comes later."""
    return min(
        (line for line in lines if wanted.fits(line)), key=lambda line: (line.submit_at, line.job_id), default=None
    )


def trace_of(records: Iterable[AccountingRecord]) -> Trace:
    """What records of one identity say together."""
    traces = {Trace.WAITING if record.state in OPEN_RECORD_STATES else Trace.STARTED for record in records}
    if not traces:
        return Trace.NONE
    return Trace.STARTED if Trace.STARTED in traces else Trace.WAITING
