"""What a job wrote, through the root-owned wrapper `output`: it runs as the researcher, so its answer is theirs.

Size, time and form of an answer are bounded here, whatever the wrapper promises: a researcher can stop or change a
process of their own uid.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from scheduler.clusters.adapters.commands_jobs import REFUSED_BY_WRAPPER, researcher_vector
from scheduler.clusters.adapters.output import LogTail, OutputEntry, OutputListing
from scheduler.clusters.adapters.programs import Programs, RawAnswer
from scheduler.clusters.adapters.protocol import (
    OUTPUT_FILE_LIMIT_BYTES,
    ClusterError,
    OutputRefused,
)

_LIST_LIMIT_BYTES = 2 * 1_048_576
_HEAD_BYTES = 1_000
_TIMEOUT_S = 12  # above the 8 s after which the wrapper gives up by itself
_ENTRIES_MOST = 1_000
_REFUSAL = re.compile(r"saola-output: ([a-z_]{1,20}): (.{1,600})", re.DOTALL)
_KINDS = frozenset({"file", "folder", "link", "other"})


class OutputCommands:
    programs: Programs
    wrappers_dir: str
    sudo: str

    def output_tail(self, *, key: UUID, unix_account: str, job_id: int, limit_bytes: int) -> LogTail:
        request = {"act": "tail", "key": str(key), "job_id": job_id, "bytes": limit_bytes}
        about, data = _head(self._output(unix_account, request, limit_bytes))
        return LogTail(
            data=data, begins_at=_whole(about, "begins_at"), size=_whole(about, "size"), changed_at=_moment(about)
        )

    def output_list(self, *, key: UUID, unix_account: str) -> OutputListing:
        found, _nothing = _head(self._output(unix_account, {"act": "list", "key": str(key)}, _LIST_LIMIT_BYTES))
        rows = found.get("files")
        if not isinstance(rows, list) or len(rows) > _ENTRIES_MOST:
            raise ClusterError("output: the listing has another form than it should")
        entries = tuple(sorted((_entry(row) for row in rows), key=lambda entry: entry.path))
        return OutputListing(entries=entries, unnamed=_whole(found, "unnamed"), is_whole=found.get("more") is False)

    def output_read(self, *, key: UUID, unix_account: str, path: Sequence[str]) -> bytes:
        request = {"act": "read", "key": str(key), "path": list(path)}
        return _head(self._output(unix_account, request, OUTPUT_FILE_LIMIT_BYTES))[1]

    def _output(self, unix_account: str, request: Mapping[str, object], limit_bytes: int) -> bytes:
        try:
            vector = researcher_vector(self.sudo, unix_account, f"{self.wrappers_dir}/output")
        except ValueError as error:
            raise OutputRefused("user", str(error)) from error
        answer = self.programs.ask_untrusted(
            vector, stdin=json.dumps(request).encode(), limit_bytes=limit_bytes + _HEAD_BYTES, timeout_s=_TIMEOUT_S
        )
        if answer.code:
            raise _refusal(answer)
        return answer.out


def _refusal(answer: RawAnswer) -> Exception:
    said = _REFUSAL.fullmatch(answer.error.strip())
    if answer.code == REFUSED_BY_WRAPPER and said:
        return OutputRefused(said[1], "".join(sign if sign.isprintable() else "?" for sign in said[2]))
    if answer.error.startswith("sudo:"):
        return OutputRefused("user", " ".join(answer.error.split())[:300])
    return ClusterError(f"output: ended with status {answer.code}")


def _head(answer: bytes) -> tuple[dict[str, Any], bytes]:
    line, _newline, data = answer.partition(b"\n")
    try:
        about = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ClusterError("output: the answer has no head") from error
    if not isinstance(about, dict) or about.get("bytes", len(data)) != len(data):
        raise ClusterError("output: the answer does not hold what its head says")
    return about, data


def _whole(about: Mapping[str, Any], name: str) -> int:
    value = about.get(name)
    if type(value) is not int or not 0 <= value < 2**63:
        raise ClusterError(f"output: {name} is no number")
    return value


def _moment(about: Mapping[str, Any]) -> datetime:
    return datetime.fromtimestamp(min(_whole(about, "changed_at"), 2**33), tz=UTC)


def _entry(row: object) -> OutputEntry:
    if not isinstance(row, dict) or row.get("kind") not in _KINDS or not isinstance(row.get("path"), list):
        raise ClusterError("output: the listing has another form than it should")
    path = tuple(row["path"])
    if not 0 < len(path) <= 8 or not all(_is_plain(name) for name in path):
        raise ClusterError("output: a name in the listing cannot be shown")
    return OutputEntry(path=path, kind=row["kind"], size=_whole(row, "size"), changed_at=_moment(row))


def _is_plain(name: object) -> bool:
    return isinstance(name, str) and name.isprintable() and "/" not in name and name not in ("", ".", "..")
