"""Submitting and cancelling as the researcher, through the root-owned wrappers; holding and cancelling as the worker.

What a wrapper prints is a claim: it ran under the researcher's uid. The caller binds a job only after it read the same
user, account, QOS and comment back as itself.
"""

import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeVar

from scheduler.clusters.adapters.programs import Answer, Programs, failure
from scheduler.clusters.adapters.protocol import (
    MOST_AT_ONCE,
    ClusterError,
    SubmissionNotBegun,
    SubmissionRefused,
    SubmissionUnknown,
    SubmitRequest,
    Verb,
    VerbRefused,
)

T = TypeVar("T")

WRAPPER_TIMEOUT_S = 30  # above the 22 s after which the wrapper's own `timeout` has killed sbatch
REFUSED_BY_WRAPPER = 64  # the wrapper's exit status before it calls sbatch
_NOT_BEGUN = 65  # its word for one of several that it did not begin
_TIMED_OUT = (124, 137)  # of `timeout`: after the term, after the kill
_WOULD_START = re.compile(r"Job \d+ to start at (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d) ")  # the wrapper's TZ is UTC
_NOTHING = Answer(1, "", "the wrapper ended without an answer to this one")

# Words of a refusal, and our code for it. slurmctld answered with a name, or was never reached: no job exists. All
# else, a timed-out reply above all, leaves it open. Source: slurm_strerror() of Slurm 22.05 and tries against one.
REFUSALS = (
    ("Unable to contact slurm controller (connect failure)", "connect_failure"),
    ("Invalid account or account/partition combination specified", "invalid_account"),
    ("Invalid qos specification", "invalid_qos"),
    ("Job violates accounting/QOS policy", "qos_limit"),
    ("Requested time limit is invalid", "time_limit"),
    ("Requested node configuration is not available", "node_configuration"),
    ("Requested partition configuration not available now", "partition_not_available"),
    ("Required partition not available", "partition_not_available"),
    ("Invalid partition name specified", "invalid_partition"),
    ("Invalid generic resource (gres) specification", "invalid_gres"),
    ("Node count specification invalid", "node_count"),
    ("More processors requested than permitted", "too_many_processors"),
    ("Memory required by task is not available", "memory"),
    ("Invalid job credential", "invalid_user"),
    ("Invalid user id", "invalid_user"),
    ("User not found on host", "invalid_user"),
    ("User's group not permitted to use this partition", "not_permitted"),
    ("Access/permission denied", "not_permitted"),
    ("Job dependency problem", "dependency"),
    ("Requested reservation is invalid", "reservation"),
    ("This does not look like a batch script", "script"),
    ("Batch script contains DOS line breaks", "script"),
    ("Batch script is empty", "script"),
    ("Unable to open file", "script"),
)


class JobCommands:
    cluster: str
    programs: Programs
    wrappers_dir: str
    sudo: str

    def submit(self, request: SubmitRequest) -> int:
        try:
            answer = self._as_researcher("submit", request.unix_account, _body(request))
        except ClusterError as error:
            raise SubmissionUnknown(str(error)) from error
        return submitted_job_id(answer)

    def submit_many(self, requests: Sequence[SubmitRequest]) -> list[int | Exception]:
        return self._submitted(requests, _body, submitted_job_id)

    def starts_estimate(self, requests: Sequence[SubmitRequest]) -> list[datetime | Exception]:
        return self._submitted(requests, lambda request: _body(request) | {"test_only": 1}, estimated_start)

    def _submitted(
        self,
        requests: Sequence[SubmitRequest],
        body: Callable[[SubmitRequest], dict[str, object]],
        read: Callable[[Answer], T],
    ) -> list[T | Exception]:
        if len({request.unix_account for request in requests}) != 1 or len(requests) > MOST_AT_ONCE:
            raise ValueError("The submissions of one call are one researcher's, and not too many.")
        try:
            whole = self._as_researcher("submit", requests[0].unix_account, [body(request) for request in requests])
        except ClusterError as error:
            return [SubmissionUnknown(str(error)) for _request in requests]
        answers = _answers(whole.out)
        found = [answers.get(str(request.key), whole if not answers else _NOTHING) for request in requests]
        return [_outcome(answer, read) for answer in found]

    def cancel(self, *, job_id: int, unix_account: str, task: int | None = None) -> None:
        which = {"job_id": job_id} if task is None else {"job_id": job_id, "task": task}
        answer = self._as_researcher("control", unix_account, {"verb": "cancel", **which})
        if answer.code and "Invalid job id specified" not in answer.error and "already" not in answer.error:
            raise failure("cancel", answer)

    def control(self, *, verb: Verb, job_id: int, unix_account: str) -> None:
        answer = self._as_researcher("control", unix_account, {"verb": verb, "job_id": job_id})
        if answer.code:
            raise _refusal(verb, answer)

    def _as_researcher(self, wrapper: str, unix_account: str, body: object) -> Answer:
        try:
            vector = researcher_vector(self.sudo, unix_account, f"{self.wrappers_dir}/{wrapper}")
        except ValueError as error:
            return Answer(REFUSED_BY_WRAPPER, "", f"saola-{wrapper}: user: {error}")
        return self.programs.ask_vector(vector, timeout_s=WRAPPER_TIMEOUT_S, stdin=json.dumps(body))

    def job_cancel_as_admin(self, *, job_id: str, reason: str, pending_only: bool = False) -> None:
        """`pending_only`: what has started by now goes on, also of an array's tasks."""
        self._note(job_id, reason)
        answer = self.programs.ask("scancel", *(["--state=PENDING"] if pending_only else []), job_id)
        if answer.code and "Invalid job id specified" not in answer.error and "already" not in answer.error:
            raise failure("scancel", answer)

    def job_hold(self, *, job_id: str, reason: str) -> None:
        """Its owner cannot release it: the hold is an administrator's."""
        self._note(job_id, reason)
        self.programs.read("scontrol", "hold", job_id)

    def job_release(self, *, job_id: str) -> None:
        self.programs.read("scontrol", "release", job_id)

    def job_time_limit_set(self, *, job_id: int, time_limit_s: int) -> None:
        self._update(f"JobId={job_id}", f"TimeLimit={time_limit_s // 60}")

    def node_resume(self, *, name: str) -> None:
        self._update(f"NodeName={name}", "State=RESUME")

    def node_drain(self, *, name: str, reason: str) -> None:
        self._update(f"NodeName={name}", "State=DRAIN", f"Reason={_in_words(reason)}")

    def _update(self, *words: str) -> None:
        answer = self.programs.ask("scontrol", "update", *words)
        if answer.code:
            raise _refusal("scontrol update", answer)

    def _note(self, job_id: str, reason: str) -> None:
        """Why, where the owner sees it (scontrol show job). Not worth failing for: the act counts."""
        self.programs.ask("scontrol", "update", f"JobId={job_id}", f"AdminComment={_in_words(reason)}")


def _in_words(reason: str) -> str:
    """Nothing that scontrol reads as more than words."""
    return re.sub(r"[^\w .,:;()/-]", " ", reason)[:200]


def researcher_vector(sudo: str, unix_account: str, program: str) -> list[str]:
    """Raises ValueError for what is no unix account: sudo reads #0 as a uid, a dash begins an option."""
    if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", unix_account):
        raise ValueError(f"{unix_account!r} is no unix account")
    return [sudo, "-n", "-u", unix_account, "--", program]


def _refusal(program: str, answer: Answer) -> Exception:
    """What slurmctld refused, or ClusterError where it was not heard (a timeout's status, or words of the network)."""
    error = failure(program, answer)
    if type(error) is not ClusterError or answer.code in _TIMED_OUT:
        return error
    return VerbRefused(" ".join((answer.error or answer.out).split())[:500])


def _body(request: SubmitRequest) -> dict[str, object]:
    return {
        "key": str(request.key),
        "account": request.account,
        "qos": request.qos,
        "partition": request.partition,
        "name": request.name,
        "script": request.script,
        "nodes": request.nodes,
        "gpu_type": request.gpu_type,
        "gpus_per_node": request.gpus_per_node,
        "time_limit_s": request.time_limit_s,
        "array": request.array,
        "dependency": request.dependency,
        "checkpoint_lead_s": request.checkpoint_lead_s,
        "cpus_per_node": request.cpus_per_node,
        "reservation": request.reservation,
    }


def _answers(text: str) -> dict[str, Answer]:
    """What the wrapper printed for each of several, by key. A line that cannot be read answers nothing."""
    found = {}
    for line in text.splitlines():
        with suppress(ValueError, KeyError, TypeError):
            row = json.loads(line)
            found[str(row["key"])] = Answer(int(row["code"]), str(row["out"]), str(row["error"]))
    return found


def _outcome(answer: Answer, read: Callable[[Answer], T]) -> T | Exception:
    if answer.code == _NOT_BEGUN and answer.error.startswith("saola-submit: late:"):
        return SubmissionNotBegun(answer.error.strip())
    try:
        return read(answer)
    except (SubmissionRefused, SubmissionUnknown) as outcome:
        return outcome


def submitted_job_id(answer: Answer) -> int:
    """The id that sbatch claims. Raises SubmissionRefused only where nothing can exist, else SubmissionUnknown."""
    if answer.code == 0:
        found = re.fullmatch(r"(\d+)(?:;\S*)?", answer.out.strip())
        if not found:
            raise SubmissionUnknown(f"sbatch answered {answer.out.strip()[:200]!r}")
        return int(found[1])
    raise _not_submitted(answer)


def estimated_start(answer: Answer) -> datetime:
    """The time that sbatch --test-only prints. Raises SubmissionRefused, or SubmissionUnknown where there is none."""
    if answer.code:
        raise _not_submitted(answer)
    found = _WOULD_START.search(answer.error)
    if not found:
        raise SubmissionUnknown(f"sbatch --test-only said {answer.error.strip()[:200]!r}")
    return datetime.fromisoformat(found[1]).replace(tzinfo=UTC)


def _not_submitted(answer: Answer) -> SubmissionRefused | SubmissionUnknown:
    """Refused only where nothing can exist."""
    words = " ".join(answer.error.split())[:1_000]
    if answer.code == REFUSED_BY_WRAPPER and words.startswith("saola-submit:"):
        _, code, message = (part.strip() for part in words.split(":", 2))
        return SubmissionRefused(code, message)
    if words.startswith("sudo:") and "sbatch:" not in words:
        return SubmissionRefused("invalid_user", words)
    for text, code in REFUSALS:
        if text in words:
            return SubmissionRefused(code, _plain(words))
    return SubmissionUnknown(words or f"sbatch ended with status {answer.code}")


def _plain(words: str) -> str:
    """Slurm's words without the program's name before each of them."""
    return re.sub(r"sbatch: (?:error: )?", "", words).strip()
