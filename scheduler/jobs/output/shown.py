"""A job's log and files as its page shows them: what the cluster's worker answered, in words."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.clock import now
from scheduler.clusters.adapters.protocol import OUTPUT_FILE_LIMIT_BYTES
from scheduler.jobs.asking import KEPT_S, NotReachable, Reply
from scheduler.jobs.models import Job
from scheduler.jobs.output import asking
from scheduler.jobs.output.asking import Question
from scheduler.jobs.output.logtext import is_binary, shown

# A log that was read so long after the end was seen holds its last line: the file system of the nodes may be late.
WRITTEN_BY_S = 10
_REFUSALS: dict[str, str | Promise] = {
    "absent": _("There is nothing yet, or it was removed."),
    "link": _("A symbolic link lies in its place. Links are not followed here: open it in a shell on the cluster."),
    "kind": _("What lies in its place is no ordinary file."),
    "denied": _("Its owner's own account may not read it."),
    "too_large": _("It is too large for the browser. Copy it with scp or rsync."),
    "late": _("The home directory did not answer in time. It is asked again in a moment."),
    "away": _("The cluster cannot be asked at the moment. It is asked again by itself."),
    "request": _("Files with such a name are not handed out here. Rename it in a shell on the cluster."),
    "user": _("The unix account that ran the job cannot be used to read it any more."),
}


def refusal_text(code: str, message: str) -> str:
    """In the reader's language; an unknown code as it came."""
    known = _REFUSALS.get(code)
    return str(known) if known else message or gettext("It cannot be read.")


def logs_named(job: Job) -> list[tuple[int, str]]:
    """Slurm's number of each run that has a log of its own, and what to call it."""
    tasks = {run.job_id_raw: run.array_task for run in job.runs.all()}
    return [
        (number, str(number) if tasks.get(number) is None else f"[{tasks[number]}] · {number}")
        for number in asking.numbers_of(job)
    ]


def run_number(job: Job, wanted: str) -> int:
    """Slurm's number of the run that is asked for; of the last one unless it is one of the job's. 0: it has none."""
    numbers = asking.numbers_of(job)
    number = int(wanted) if wanted.isdecimal() and len(wanted) < 12 else 0
    return number if number in numbers else (numbers or [0])[-1]


@dataclass(frozen=True)
class LogShown:
    state: str  # asked, nothing, text, empty, binary, refused
    follows: bool  # the page asks again
    text: str = ""
    said: str = ""
    size: int = 0
    is_cut: bool = False
    changed_at: datetime | None = None

    @property
    def version(self) -> str:
        changed = self.changed_at.timestamp() if self.changed_at else 0
        return f"{self.state}.{self.size}.{changed:.0f}.{int(self.follows)}"


def log_shown(job: Job, number: int) -> LogShown:
    """`number` is Slurm's of the run; 0 where it has none."""
    if job.origin != Job.Origin.PORTAL:
        text = gettext("It was submitted outside the portal: its log lies where its script put it.")
        return LogShown("nothing", follows=False, said=text)
    if not number or not _may_have_begun(job):
        text = gettext("The log appears here as soon as the job runs.") if job.is_open else gettext("It wrote no log.")
        return LogShown("nothing", follows=job.is_open, said=text)
    try:
        reply = asking.ask(Question(job.pk, "tail", number), cluster=job.cluster.name, fresh_s=_fresh_s(job, "tail"))
    except NotReachable:
        return LogShown("refused", follows=True, said=refusal_text("away", ""))
    follows = job.is_open or not _is_last(reply, job)
    if reply is None:
        return LogShown("asked", follows=True)
    if reply.code:
        return LogShown("refused", follows=follows, said=refusal_text(reply.code, reply.message))
    return _log_of(reply.body, follows=follows)


def _log_of(body: dict[str, Any], *, follows: bool) -> LogShown:
    data, size, is_cut = base64.b64decode(body["data"]), body["size"], body["begins_at"] > 0
    changed_at = datetime.fromtimestamp(body["changed_at"], tz=UTC)
    state, text, said = "text", "", ""
    if not size:
        state, said = "empty", gettext("It has written nothing yet.")
    elif is_binary(data):
        state = "binary"
        said = gettext("Its end is no text but bytes that a page cannot show. Download it from the list of files.")
    else:
        text = shown(data, is_cut=is_cut)
    return LogShown(state, follows, text, said, size, is_cut, changed_at)


def _may_have_begun(job: Job) -> bool:
    return job.state not in (Job.State.QUEUED, Job.State.SUBMITTING, Job.State.REFUSED) and (
        job.state != Job.State.PENDING or any(run.started_at for run in job.runs.all())
    )


def _fresh_s(job: Job, what: str) -> float:
    """As for a running job until every answer from before the end is gone: its last lines are waited for."""
    late = timedelta(seconds=WRITTEN_BY_S + KEPT_S)
    is_settled = not job.is_open and now() > job.updated_at + late
    return asking.ENDED_FRESH_S if is_settled else asking.FRESH_S[what]


def _is_last(reply: Reply | None, job: Job) -> bool:
    """Whether nothing can have been written after this answer."""
    return reply is not None and reply.code != "away" and reply.at > job.updated_at + timedelta(seconds=WRITTEN_BY_S)


@dataclass(frozen=True)
class EntryShown:
    path: tuple[str, ...]
    kind: str
    size: int
    changed_at: datetime

    @property
    def name(self) -> str:
        return "/".join(self.path)

    @property
    def query(self) -> str:
        return urlencode({"p": self.path}, doseq=True)

    @property
    def is_offered(self) -> bool:
        return self.kind == "file" and self.size <= OUTPUT_FILE_LIMIT_BYTES

    @property
    def is_too_large(self) -> bool:
        return self.kind == "file" and self.size > OUTPUT_FILE_LIMIT_BYTES


@dataclass(frozen=True)
class ListingShown:
    entries: tuple[EntryShown, ...] = ()
    follows: bool = True
    unnamed: int = 0
    is_whole: bool = True
    said: str = ""
    is_coming: bool = False  # the cluster is being asked

    @property
    def version(self) -> str:
        newest = max((entry.changed_at.timestamp() for entry in self.entries), default=0)
        size = sum(entry.size for entry in self.entries)
        return f"{len(self.entries)}.{size}.{newest:.0f}.{self.unnamed}.{int(self.follows)}.{int(bool(self.said))}"


def listing_shown(job: Job) -> ListingShown:
    if job.origin != Job.Origin.PORTAL or job.state == Job.State.REFUSED:
        return ListingShown(follows=False, said=gettext("It has no folder of its own."))
    if not asking.numbers_of(job):
        return ListingShown(follows=job.is_open, said=gettext("Its folder is made when it is submitted."))
    try:
        reply = asking.ask(Question(job.pk, "list"), cluster=job.cluster.name, fresh_s=_fresh_s(job, "list"))
    except NotReachable:
        return ListingShown(said=refusal_text("away", ""))
    follows = job.is_open or not _is_last(reply, job)
    if reply is None:
        return ListingShown(said=gettext("The cluster is being asked …"), is_coming=True)
    if reply.code:
        return ListingShown(follows=follows, said=refusal_text(reply.code, reply.message))
    entries = tuple(_entries(reply.body["entries"]))
    said = "" if entries else gettext("The folder is empty.")
    return ListingShown(entries, follows, reply.body["unnamed"], reply.body["is_whole"], said)


def _entries(rows: Iterable[dict[str, Any]]) -> Iterable[EntryShown]:
    for row in rows:
        changed_at = datetime.fromtimestamp(row["changed_at"], tz=UTC)
        yield EntryShown(tuple(row["path"]), row["kind"], row["size"], changed_at)
