"""Starts as pages show them. An estimate says that it is one, and when it was made."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models.fields.json import KeyTransform
from django.utils.translation import gettext

from portal.clock import now
from portal.people.models import User
from scheduler.clusters.models import Snapshot
from scheduler.jobs.asking import NotReachable, Reply
from scheduler.jobs.durations import MINUTE_S
from scheduler.jobs.models import Job
from scheduler.jobs.preflight import Shape
from scheduler.jobs.starts.asking import Question, TooOften, ask
from scheduler.jobs.starts.shapes import Candidate


@dataclass(frozen=True)
class StartShown:
    """`state`: at_once (within a minute), later, silent (Slurm does not say), refused, away, asked, unfit."""

    shape: Shape
    partition: str
    fix: str
    state: str
    at: datetime | None = None
    in_s: int = 0
    made_at: datetime | None = None
    said: str = ""


@dataclass(frozen=True)
class StartsShown:
    rows: Sequence[StartShown] = ()
    said: str = ""  # why nothing is asked at the moment
    ask_again_s: int = 0

    @property
    def made_at(self) -> datetime | None:
        """The oldest answer's time."""
        return min((row.made_at for row in self.rows if row.made_at), default=None)


def starts_shown(found: Sequence[Candidate], *, person: User) -> StartsShown:
    questions = {one: _question(one, person) for one in found if one.fits}
    said, again_s = "", 0
    replies: dict[Question, Reply | None] = {}
    by_cluster: dict[str, list[Question]] = defaultdict(list)
    for one, question in questions.items():
        by_cluster[one.cluster.name].append(question)
    for cluster, asked in by_cluster.items():
        try:
            replies |= ask(asked, cluster=cluster, person_id=person.pk)
        except TooOften:
            said, again_s = gettext("You have asked often within a minute. It is asked again by itself."), 10
        except NotReachable:
            said = gettext("The cluster cannot be asked at the moment.")
    rows = [_row(one, replies.get(questions[one]) if one in questions else None) for one in found]
    if not said and any(row.state == "asked" for row in rows):
        again_s = 1
    return StartsShown(rows, said, again_s)


def _question(one: Candidate, person: User) -> Question:
    shape = one.shape
    return Question(person.pk, one.allocation.pk, one.partition, shape.nodes, shape.gpus_per_node, shape.time_limit_s)


def _row(one: Candidate, reply: Reply | None) -> StartShown:
    def row(state: str, **more: object) -> StartShown:
        return StartShown(one.shape, one.partition, one.fix, state, **more)  # type: ignore[arg-type]

    if not one.fits:
        return row("unfit")
    if reply is None:
        return row("asked")
    if reply.code in ("away", "connect_failure"):
        return row("away")
    if reply.code:
        return row("refused", said=reply.message, made_at=reply.at)
    if reply.body["start_at"] is None:
        return row("silent", made_at=reply.at)
    at = datetime.fromtimestamp(reply.body["start_at"], tz=UTC)
    minutes = math.ceil((at - reply.at).total_seconds() / MINUTE_S)
    return row("at_once" if minutes <= 1 else "later", at=at, in_s=minutes * MINUTE_S, made_at=reply.at)


@dataclass(frozen=True)
class Planned:
    """A waiting job's start as Slurm had planned it when the cluster was last looked at."""

    at: datetime
    seen_at: datetime

    @property
    def in_s(self) -> int:
        return max(1, math.ceil((self.at - now()).total_seconds() / MINUTE_S)) * MINUTE_S


def planned_start(job: Job) -> Planned | None:
    """None: Slurm does not say. Its backfill plans for the first jobs of a queue only."""
    if job.state != Job.State.PENDING or job.slurm_job_id is None:
        return None
    starts = KeyTransform("starts", "occupancy")
    seen = Snapshot.objects.filter(cluster=job.cluster_id, reachable=True).values_list("taken_at", starts).first()
    for start in (seen[1] or ()) if seen else ():
        at = datetime.fromisoformat(start["start_at"])
        if start["job_id"] == job.slurm_job_id and seen is not None and at > now():
            return Planned(at, seen[0])
    return None
