"""What people ask of their jobs on the way: cancel, hold and release, back into the queue, more time, one task less.

It looks again and again and asks for what is still missing, as people do whose last request went nowhere. And an
operator sees to nodes that Slurm drained, and jobs that it holds, because a killed daemon could not launch one.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event
from uuid import UUID

from django.db import InterfaceError, OperationalError, connections

from portal.clock import now
from scheduler.jobs.models import Job, Order
from scheduler.jobs.states import HELD_BY_OWNER
from tests.stack.operating import Operator
from tests.stack.soak.crowd import Member
from tests.stack.soak.wishes import Wish

EVERY_S = 0.5
ASKED_AGAIN_S = 20
OPERATOR_LOOKS_S = 10
BACKLOG_MOST = 120  # open jobs; submitting waits for the cluster
TASK = 3  # of an array that its owner does without
OPEN_FIELDS = ("pk", "state", "reason", "slurm_job_id", "cancel_requested_at")


@dataclass
class Attendant:
    members: list[Member]
    operator: Operator
    sent: dict[UUID, tuple[Wish, datetime]] = field(default_factory=dict)
    may_submit: Event = field(default_factory=Event)
    asked: dict[tuple[UUID, str], datetime] = field(default_factory=dict)
    operator_looked_at: datetime = field(default_factory=now)

    def attend(self, ended: Event) -> None:
        """In a thread of its own, until `ended`."""
        try:
            while not ended.wait(EVERY_S):
                try:
                    self._round()
                    self._operator_looks()
                except (OperationalError, InterfaceError):  # PostgreSQL was killed
                    connections.close_all()
        finally:
            connections.close_all()

    def open_jobs(self) -> list[Job]:
        jobs = Job.objects.filter(pk__in=list(self.sent), state__in=Job.OPEN_STATES)
        return list(jobs.only(*OPEN_FIELDS))

    def _round(self) -> None:
        jobs = self.open_jobs()
        if len(jobs) < BACKLOG_MOST:
            self.may_submit.set()
        else:
            self.may_submit.clear()
        for job in jobs:
            wish, sent_at = self.sent[job.pk]
            if wish.kind.startswith("cancelled") and job.cancel_requested_at is None:
                if now() - sent_at >= timedelta(seconds=wish.cancel_after_s):
                    self._ask(job, wish, "cancel")
            elif wish.kind == "held":
                self._hold_and_release(job, wish)
            elif wish.kind == "requeued" and job.state == Job.State.RUNNING:
                # Asked anew where slurmctld forgot that it had been done.
                self._ask(job, wish, "requeue")
            elif wish.kind == "extended" and job.state == Job.State.RUNNING and not self._was_asked(job, "extend"):
                self._ask(job, wish, "extend", {"time_limit": "4m"})
            elif wish.kind == "array" and wish.number % 2 and job.slurm_job_id and not self._was_asked(job, "tasks"):
                self._ask(job, wish, f"tasks/{TASK}/cancel")

    def _operator_looks(self) -> None:
        if now() - self.operator_looked_at >= timedelta(seconds=OPERATOR_LOOKS_S):
            self.operator_looked_at = now()
            self.operator.look()

    def _hold_and_release(self, job: Job, wish: Wish) -> None:
        if job.state != Job.State.PENDING:
            return
        if job.reason == HELD_BY_OWNER:
            self._ask(job, wish, "release")
        elif not self._was_asked(job, "hold"):
            self._ask(job, wish, "hold")

    def _was_asked(self, job: Job, verb: str) -> bool:
        return (job.pk, verb.split("/")[0]) in self.asked

    def _ask(self, job: Job, wish: Wish, verb: str, form: dict[str, str] | None = None) -> None:
        key = (job.pk, verb.split("/")[0])
        if key in self.asked and now() - self.asked[key] < timedelta(seconds=ASKED_AGAIN_S):
            return
        answer = self.members[wish.person].ask(f"/jobs/{job.pk}/{verb}/", form or {})
        if answer.status in (200, 302):
            self.asked[key] = now()

    def orders(self) -> dict[str, int]:
        """How many of each verb were done in the end."""
        done = Order.objects.filter(job__in=list(self.sent), state=Order.State.DONE).values_list("verb", flat=True)
        return {verb: list(done).count(verb) for verb in sorted(set(done))}
