"""What a job wrote and used, for its page: questions of the web, answered by the cluster's worker.

The web process reaches no cluster. It leaves a question on the cluster's queue (a Celery message that says which job
and what, nothing of how) and looks for the answer in Redis when the page asks again a moment later. One answer serves
everybody who watches: a question that is on its way, or was answered within its time, is not asked again.

Answers are the researcher's own words and go through JSON. They live for a minute. The worker reads one at a
time: where a home directory hangs, its other processes go on with the cycle.
"""

import base64
import hashlib
import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.core.cache import caches
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from portal.clock import now
from portal.locks import LockSpace, held_if_free
from scheduler.clusters.adapters.protocol import ClusterAdapter, ClusterError, OutputRefused
from scheduler.jobs.models import Job

logger = logging.getLogger(__name__)

TAIL_BYTES = 32_768
KEPT_S = 60
FRESH_S = {"tail": 2, "list": 10, "usage": 600, "file": 30}
ENDED_FRESH_S = 20  # a log that nobody writes any more
AWAY_S = 30  # who did not answer is left alone for so long: a home directory that hangs takes a worker each time
ASKED_S = 10  # a question that nobody took by then is asked again
FILES_AT_ONCE = 6  # in Redis, of the whole centre: 8 MiB each, 11 as JSON
FILES_A_PERSON = 2
# Never a slash inside a name, and Redis shows only this: no path, no person.
_PREFIX = "job-output"


class NotReachable(Exception):
    """Redis is away: nothing can be asked."""


class TooManyFiles(Exception):
    """Others (or the same person) are fetching as many files as are handed out at once."""


@dataclass(frozen=True)
class Question:
    """`what` is tail (of a run's number), list, file (a path) or usage."""

    job_id: UUID
    what: str
    number: int = 0
    path: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        detail = hashlib.sha256(json.dumps([self.number, *self.path]).encode()).hexdigest()[:20]
        return f"{_PREFIX}:{self.job_id}:{self.what}:{detail}"

    @property
    def asked_key(self) -> str:
        return f"{self.key}:asked"

    @property
    def slots_key(self) -> str:
        return f"{self.key}:slots"


@dataclass(frozen=True)
class Reply:
    at: datetime
    body: dict[str, Any]
    code: str = ""  # why there is no body
    message: str = ""


# ---- the web's side


def ask(question: Question, *, cluster: str, fresh_s: float | None = None) -> Reply | None:
    """The last answer, perhaps older than `fresh_s`: then it is asked for anew. None: none yet. Raises NotReachable."""
    fresh_s = FRESH_S[question.what] if fresh_s is None else fresh_s
    try:
        reply = _reply(caches["redis"].get(question.key))
        if reply is None or (now() - reply.at).total_seconds() >= (AWAY_S if reply.code == "away" else fresh_s):
            _send(question, cluster)
    except (RedisError, OperationalError, OSError) as error:
        raise NotReachable from error
    return reply


def file_ask(question: Question, *, cluster: str, person_id: int) -> Reply | None:
    """As `ask`, for a file's bytes. Raises TooManyFiles, NotReachable."""
    try:
        store = caches["redis"]
        if store.get(question.key) is None and store.get(question.asked_key) is None:
            _slots_take(question, person_id)
        reply = ask(question, cluster=cluster)
        if reply is not None and reply.code:
            _slots_give(question)
    except (RedisError, OSError) as error:
        raise NotReachable from error
    return reply


def file_take(question: Question) -> bytes | None:
    """The file's bytes, once: they leave Redis with this. None where they are not there (any more)."""
    try:
        reply = _reply(caches["redis"].get(question.key))
        if reply is None or reply.code:
            return None
        _slots_give(question)
        return base64.b64decode(reply.body["data"])
    except (RedisError, OSError) as error:
        raise NotReachable from error


def _slots_take(question: Question, person_id: int) -> None:
    """A place for the file in Redis. Nobody takes it away from others for longer than a minute."""
    store = caches["redis"]
    taken: list[str] = []
    for pool, most in ((f"person-{person_id}", FILES_A_PERSON), ("all", FILES_AT_ONCE)):
        slots = (f"{_PREFIX}:slot:{pool}:{number}" for number in range(most))
        free = next((slot for slot in slots if store.add(slot, 1, timeout=KEPT_S)), None)
        if free is None:
            store.delete_many(taken)
            raise TooManyFiles
        taken.append(free)
    store.set(question.slots_key, taken, timeout=KEPT_S)


def _slots_give(question: Question) -> None:
    store = caches["redis"]
    store.delete_many([question.key, question.slots_key, *(store.get(question.slots_key) or [])])


def _send(question: Question, cluster: str) -> None:
    from scheduler.jobs.tasks import output_answer  # noqa: PLC0415  tasks imports this module

    if not caches["redis"].add(question.asked_key, 1, timeout=ASKED_S):
        return
    args = [str(question.job_id), question.what, question.number, list(question.path)]
    output_answer.apply_async(args=args, queue=f"cluster.{cluster}", expires=ASKED_S, retry=False)


def _reply(row: dict[str, Any] | None) -> Reply | None:
    if row is None:
        return None
    return Reply(datetime.fromtimestamp(row["at"], tz=UTC), row["body"], row["code"], row["message"])


# ---- the cluster worker's side. It writes to Redis and reads nothing from there.


def answer(question: Question, *, adapter: ClusterAdapter) -> None:
    """Asks the cluster and leaves what it says where the web looks. Busy with another one: the page asks again."""
    job = Job.objects.select_related("cluster").prefetch_related("runs").defer("script").get(pk=question.job_id)
    with held_if_free(LockSpace.OUTPUT, job.cluster_id) as is_free:
        reply = _answer(job, question, adapter) if is_free else None
    with suppress(RedisError, OSError):
        if reply is not None:
            caches["redis"].set(question.key, reply, timeout=FRESH_S["usage"] if question.what == "usage" else KEPT_S)
        caches["redis"].delete(question.asked_key)


def _answer(job: Job, question: Question, adapter: ClusterAdapter) -> dict[str, Any]:
    code, message, body = "", "", {}
    try:
        body = _READERS[question.what](job, question, adapter)
    except OutputRefused as refused:
        code, message = refused.code, refused.message
    except ClusterError as error:
        logger.warning("job %s: %s: %s", job.pk, question.what, error)
        code = "away"
    return {"at": now().timestamp(), "body": body, "code": code, "message": message}


def _tail(job: Job, question: Question, adapter: ClusterAdapter) -> dict[str, Any]:
    if question.number not in numbers_of(job):
        raise OutputRefused("absent", "The job has no such run.")
    found = adapter.output_tail(
        key=job.pk, unix_account=job.unix_account, job_id=question.number, limit_bytes=TAIL_BYTES
    )
    return {
        "data": base64.b64encode(found.data).decode(),
        "begins_at": found.begins_at,
        "size": found.size,
        "changed_at": found.changed_at.timestamp(),
    }


def _list(job: Job, question: Question, adapter: ClusterAdapter) -> dict[str, Any]:
    found = adapter.output_list(key=job.pk, unix_account=job.unix_account)
    rows = [
        {"path": entry.path, "kind": entry.kind, "size": entry.size, "changed_at": entry.changed_at.timestamp()}
        for entry in found.entries
    ]
    return {"entries": rows, "unnamed": found.unnamed, "is_whole": found.is_whole}


def _file(job: Job, question: Question, adapter: ClusterAdapter) -> dict[str, Any]:
    data = adapter.output_read(key=job.pk, unix_account=job.unix_account, path=question.path)
    return {"data": base64.b64encode(data).decode()}


def _usage(job: Job, question: Question, adapter: ClusterAdapter) -> dict[str, Any]:
    own = {(run.job_id_raw, run.submit_at) for run in job.runs.all()}
    runs = [run for run in adapter.usage(job_ids=numbers_of(job)) if (run.job_id_raw, run.submit_at) in own]
    return {
        "runs": [
            {
                "elapsed_s": run.elapsed_s,
                "cpus": run.cpus,
                "cpu_s": run.cpu_s,
                "memory_bytes": run.memory_bytes,
                "memory_used_bytes": run.memory_used_bytes,
            }
            for run in runs
        ]
    }


_READERS = {"tail": _tail, "list": _list, "file": _file, "usage": _usage}


def numbers_of(job: Job) -> Sequence[int]:
    """Slurm's numbers of the job's runs, in their order, each once: a requeued run has the number of the one before."""
    numbers = [run.job_id_raw for run in job.runs.all() if run.job_id_raw]
    return list(dict.fromkeys(numbers or ([job.slurm_job_id] if job.slurm_job_id else [])))
