"""When Slurm would start a shape: asked by the form, answered by the cluster's worker (jobs/asking.py).

`sbatch --test-only` as the researcher, because account, QOS and priority are theirs. It takes slurmctld's write lock,
so an answer serves for a minute, a person asks a few times a minute, and the worker asks for one person at a time.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from django.core.cache import caches

from portal.locks import LockSpace, held_if_free
from portal.people.models import User
from portal.people.selectors import projects_of
from quotas.allocations.models import Allocation
from scheduler.clusters.adapters.protocol import (
    ClusterAdapter,
    ClusterError,
    SubmissionNotBegun,
    SubmissionUnknown,
    SubmitRequest,
)
from scheduler.clusters.models import Cluster
from scheduler.clusters.names import account_name
from scheduler.jobs.asking import KEPT_S, Reply, claim, last, leave, reaching, reply_of, send

ASKS_A_MINUTE = 12  # of one person, some shapes each
SHAPES_AT_ONCE = 4
_PREFIX = "job-start"
_SCRIPT = "#!/bin/sh\ntrue\n"


class TooOften(Exception):
    """The person has asked as often as one may within a minute."""


@dataclass(frozen=True)
class Question:
    person_id: int
    allocation_id: int
    partition: str
    nodes: int
    gpus_per_node: int
    time_limit_s: int

    @property
    def key(self) -> str:
        return f"{_PREFIX}:{hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:32]}"


# ---- the web's side


def ask(questions: Sequence[Question], *, cluster: str, person_id: int) -> dict[Question, Reply | None]:
    """The answers that are there; the others are asked for. Raises TooOften, NotReachable."""
    from scheduler.jobs.starts.tasks import starts_answer  # noqa: PLC0415  tasks imports this module

    with reaching():
        replies = {question: last(question.key) for question in questions}
        missing = [question for question, reply in replies.items() if reply is None or reply.is_old(KEPT_S)]
        due = [question for question in missing if claim(question.key)]
        if due:
            _count(person_id, due)
            send(starts_answer, [cluster, [asdict(question) for question in due]], cluster=cluster)
    return replies


def _count(person_id: int, due: Sequence[Question]) -> None:
    store = caches["redis"]
    slots = (f"{_PREFIX}:slot:{person_id}:{number}" for number in range(ASKS_A_MINUTE))
    if not any(store.add(slot, 1, timeout=60) for slot in slots):
        for question in due:
            leave(question.key, None)
        raise TooOften


# ---- the cluster worker's side


def answer(cluster_name: str, questions: Sequence[Question], *, adapter: ClusterAdapter) -> None:
    cluster = Cluster.objects.get(name=cluster_name)
    with held_if_free(LockSpace.STARTS, cluster.pk) as is_free:
        replies = _replies(cluster, questions[:SHAPES_AT_ONCE], adapter) if is_free else {}
    for question in questions:
        leave(question.key, replies.get(question))


def _replies(cluster: Cluster, questions: Sequence[Question], adapter: ClusterAdapter) -> dict[Question, Any]:
    requests = _requests(cluster, questions)
    outcomes: Sequence[datetime | Exception]
    ahead = timedelta(0)
    try:
        # Asked first: where slurmctld is away this says so once, not for each shape.
        ahead = timedelta(seconds=adapter.controller_status().clock_ahead_s)
        outcomes = adapter.starts_estimate(list(requests.values())) if requests else []
    except ClusterError as error:
        outcomes = [error] * len(requests)
    return {
        question: reply_of(question.key, partial(_said, outcome, ahead))
        for question, outcome in zip(requests, outcomes, strict=True)
    }


def _said(outcome: datetime | Exception, ahead: timedelta) -> dict[str, Any]:
    """The start on the portal's clock; None where Slurm says none."""
    if isinstance(outcome, SubmissionUnknown | SubmissionNotBegun):
        return {"start_at": None}
    if isinstance(outcome, Exception):
        raise outcome
    return {"start_at": (outcome - ahead).timestamp()}


def _requests(cluster: Cluster, questions: Sequence[Question]) -> dict[Question, SubmitRequest]:
    """Of one person. What does not belong to a project of theirs on this cluster is left out, whoever asked for it."""
    people = {question.person_id for question in questions}
    person = User.objects.filter(pk=people.pop(), is_active=True).first() if len(people) == 1 else None
    if person is None or not person.unix_account:
        return {}
    allocations = Allocation.objects.filter(cluster=cluster.name, project__in=projects_of(person))
    known = allocations.select_related("project").in_bulk([question.allocation_id for question in questions])
    return {
        question: _request(cluster, known[question.allocation_id], question, person.unix_account)
        for question in questions
        if question.allocation_id in known
    }


def _request(cluster: Cluster, allocation: Allocation, question: Question, unix_account: str) -> SubmitRequest:
    return SubmitRequest(
        key=uuid4(),
        unix_account=unix_account,
        account=account_name(cluster, allocation.project.slug),
        qos=allocation.qos,
        partition=question.partition,
        name="estimate",
        script=_SCRIPT,
        nodes=question.nodes,
        gpu_type=allocation.gpu_type,
        gpus_per_node=question.gpus_per_node,
        time_limit_s=question.time_limit_s,
    )
