"""What a job wrote and used, for its page: questions of the web, answered by the cluster's worker (jobs/asking.py).

Answers are the researcher's own words. They live for a minute. The worker reads one at a time: where a home directory
hangs, its other processes go on with the cycle.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.cache import caches

from portal.locks import LockSpace, held_if_free
from scheduler.clusters.adapters.protocol import ClusterAdapter, OutputRefused
from scheduler.jobs.asking import KEPT_S, NotReachable, Reply, asked_key, claim, last, leave, reaching, reply_of, send
from scheduler.jobs.models import Job
from scheduler.jobs.output import tunnel

TAIL_BYTES = 32_768
FRESH_S = {"tail": 2, "list": 10, "usage": 600, "file": 30, "tunnel": 5}
ENDED_FRESH_S = 20  # a log that nobody writes any more
FILES_AT_ONCE = 6  # in Redis, of the whole centre: 8 MiB each, 11 as JSON
FILES_A_PERSON = 2
# Never a slash inside a name, and Redis shows only this: no path, no person.
_PREFIX = "job-output"


class TooManyFiles(Exception):
    """Others (or the same person) are fetching as many files as are handed out at once."""


@dataclass(frozen=True)
class Question:
    """`what` is tail (of a run's number), list, file (a path), usage or tunnel."""

    job_id: UUID
    what: str
    number: int = 0
    path: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        detail = hashlib.sha256(json.dumps([self.number, *self.path]).encode()).hexdigest()[:20]
        return f"{_PREFIX}:{self.job_id}:{self.what}:{detail}"

    @property
    def slots_key(self) -> str:
        return f"{self.key}:slots"


# ---- the web's side


def ask(question: Question, *, cluster: str, fresh_s: float | None = None) -> Reply | None:
    """The last answer, perhaps older than `fresh_s`: then it is asked for anew. None: none yet. Raises NotReachable."""
    from scheduler.jobs.tasks import output_answer  # noqa: PLC0415  tasks imports this module

    with reaching():
        reply = last(question.key)
        is_old = reply is None or reply.is_old(FRESH_S[question.what] if fresh_s is None else fresh_s)
        if is_old and claim(question.key):
            args = [str(question.job_id), question.what, question.number, list(question.path)]
            send(output_answer, args, cluster=cluster)
    return reply


def measured_of(job: Job) -> tuple[list[dict[str, Any]], bool]:
    """slurmdbd's figures of an ended job's runs, empty where there are none; and whether they are being asked for."""
    if not numbers_of(job):
        return [], False
    try:
        reply = ask(Question(job.pk, "usage"), cluster=job.cluster.name)
    except NotReachable:
        return [], False
    return (reply.body.get("runs", []) if reply is not None and not reply.code else []), reply is None


def file_ask(question: Question, *, cluster: str, person_id: int) -> Reply | None:
    """As `ask`, for a file's bytes. Raises TooManyFiles, NotReachable."""
    with reaching():
        store = caches["redis"]
        if store.get(question.key) is None and store.get(asked_key(question.key)) is None:
            _slots_take(question, person_id)
        reply = ask(question, cluster=cluster)
        if reply is not None and reply.code:
            _slots_give(question)
    return reply


def file_take(question: Question) -> bytes | None:
    """The file's bytes, once: they leave Redis with this. None where they are not there (any more)."""
    with reaching():
        reply = last(question.key)
        if reply is None or reply.code:
            return None
        _slots_give(question)
        return base64.b64decode(reply.body["data"])


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


# ---- the cluster worker's side


def answer(question: Question, *, adapter: ClusterAdapter) -> None:
    """Asks the cluster and leaves what it says where the web looks. Busy with another one: the page asks again."""
    job = Job.objects.select_related("cluster").prefetch_related("runs").defer("script").get(pk=question.job_id)
    with held_if_free(LockSpace.OUTPUT, job.cluster_id) as is_free:
        reply = reply_of(question.key, lambda: _READERS[question.what](job, question, adapter)) if is_free else None
    leave(question.key, reply, kept_s=FRESH_S["usage"] if question.what == "usage" else KEPT_S)


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
                "nodes_used": run.nodes_used,
            }
            for run in runs
        ]
    }


def _tunnel(job: Job, question: Question, adapter: ClusterAdapter) -> dict[str, Any]:
    data = adapter.output_read(key=job.pk, unix_account=job.unix_account, path=(tunnel.FILE,))
    return {"text": data[: tunnel.MOST_BYTES].decode(errors="replace")}


_READERS = {"tunnel": _tunnel, "tail": _tail, "list": _list, "file": _file, "usage": _usage}


def numbers_of(job: Job) -> Sequence[int]:
    """Slurm's numbers of the job's runs, in their order, each once: a requeued run has the number of the one before."""
    numbers = [run.job_id_raw for run in job.runs.all() if run.job_id_raw]
    return list(dict.fromkeys(numbers or ([job.slurm_job_id] if job.slurm_job_id else [])))
