"""Reads a sacct dump: `sacct -X -D -P` with a header line, its columns in any order. Pure and streaming.

A line becomes a `Line`, or a string: the reason why it is left out.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple
from uuid import UUID

from scheduler.clusters.adapters import parse
from scheduler.clusters.adapters.protocol import ClusterError
from scheduler.settlement.charges import UNTYPED, charge_id_of_epoch, gpus_named, is_final

NEEDED = ("JobIDRaw", "Account", "User", "State", "Submit", "Start", "End", "ElapsedRaw", "AllocTRES")
OPTIONAL = ("JobID", "QOS", "Partition")
# Columns in which people write what they like, a "|" included. With one of them the line can still be read.
FREE_TEXT = frozenset({"jobname", "comment", "admincomment", "systemcomment", "submitline", "workdir", "extra"})
NO_TIME = frozenset({"", "Unknown", "None", "Invalid"})

STEP = "step"  # 12.batch: a part of a job, not a job (sacct without -X)
UNREADABLE = "unreadable"
NOT_FINISHED = "not_finished"
SEVERAL_GPU_TYPES = "several_gpu_types"  # a partition has one type; such a line says not how much of which to charge

GPU_TYPE = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")  # as quotas.programmes takes it
GPUS_LIMIT = 1_000_000  # more in one job, or a longer one, is a broken line, not a job
ELAPSED_LIMIT_S = 10 * 366 * 86_400


class MissingColumns(Exception):
    """The header line lacks columns without which a record cannot be charged."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(", ".join(names))
        self.names = names


class Line(NamedTuple):
    job_id_raw: int
    submit_epoch_s: int
    job_id: str
    account: str
    user: str
    qos: str
    partition: str
    state: str
    started_at: datetime | None
    ended_at: datetime
    elapsed_s: int
    gpu_type: str
    gpus: int
    charge: UUID


class Reader:
    """Knows the columns of one dump. `gpu_type` is for generic GPUs whose partition has no known type."""

    def __init__(
        self, header: str, *, cluster: str, zone: tzinfo, partition_types: Mapping[str, str], gpu_type: str = ""
    ) -> None:
        """Raises MissingColumns."""
        names = [name.strip().lower() for name in header.lstrip("\ufeff").rstrip("\r\n").split("|")]
        if names and not names[-1]:
            names.pop()  # sacct -p (small p) ends every line with a delimiter
        missing = [name for name in NEEDED if name.lower() not in names]
        if missing:
            raise MissingColumns(missing)
        self._width = len(names)
        self._at = {name: names.index(name.lower()) for name in (*NEEDED, *OPTIONAL) if name.lower() in names}
        free = [position for position, name in enumerate(names) if name in FREE_TEXT]
        self._free = free[0] if len(free) == 1 else None
        self._cluster = cluster
        self._zone = zone
        self._partition_types = partition_types
        self._gpu_type = gpu_type
        self._tres: dict[tuple[str, str], dict[str, int]] = {}  # few distinct ones in a dump of millions of lines

    def read(self, lines: Iterable[str]) -> Iterator[Line | str]:
        for text in lines:
            stripped = text.rstrip("\r\n")
            if stripped:
                try:
                    yield self._line(stripped)
                except (ValueError, OverflowError, OSError, ClusterError):
                    yield UNREADABLE

    def _line(self, text: str) -> Line | str:
        fields = self._fields(text)
        at = self._at
        raw_id = fields[at["JobIDRaw"]]
        if "." in raw_id:
            return STEP
        ended_at = self._time(fields[at["End"]])
        state = parse.state(fields[at["State"]])
        if not state:
            return UNREADABLE
        if ended_at is None or not is_final(state, ended_at):
            return NOT_FINISHED
        partition = self._optional(fields, "Partition")
        gpus = self._gpus(fields[at["AllocTRES"]], partition)
        if len(gpus) > 1:
            return SEVERAL_GPU_TYPES
        submitted_at = self._time(fields[at["Submit"]])
        job_id, elapsed_s = _whole(raw_id), _whole(fields[at["ElapsedRaw"]])
        count = sum(gpus.values())
        account, user = fields[at["Account"]], fields[at["User"]]
        if submitted_at is None or count > GPUS_LIMIT or elapsed_s > ELAPSED_LIMIT_S:
            return UNREADABLE
        if not account or len(account) > 120 or len(user) > 64 or len(state) > 24:
            return UNREADABLE
        submit_epoch_s = int(submitted_at.timestamp())
        return Line(
            job_id_raw=job_id,
            submit_epoch_s=submit_epoch_s,
            job_id=(self._optional(fields, "JobID") or raw_id)[:40],
            account=account,
            user=user,
            qos=self._optional(fields, "QOS")[:120],
            partition=partition[:64],
            state=state,
            started_at=self._time(fields[at["Start"]]),
            ended_at=ended_at,
            elapsed_s=elapsed_s,
            gpu_type=next(iter(gpus), ""),
            gpus=count,
            charge=charge_id_of_epoch(self._cluster, job_id, submit_epoch_s),
        )

    def _fields(self, text: str) -> list[str]:
        """Raises ValueError where the line does not have the header's columns."""
        if "\x00" in text:
            raise ValueError("a NUL byte")
        fields = text.split("|")
        surplus = len(fields) - self._width
        if surplus == 1 and not fields[-1]:
            fields.pop()
        elif surplus > 0 and self._free is not None:
            fields[self._free : self._free + surplus + 1] = ["|".join(fields[self._free : self._free + surplus + 1])]
        elif surplus:
            raise ValueError("another number of columns than the header")
        return fields

    def _optional(self, fields: list[str], name: str) -> str:
        return fields[self._at[name]] if name in self._at else ""

    def _gpus(self, alloc_tres: str, partition: str) -> dict[str, int]:
        """Raises ValueError, ClusterError."""
        known = self._tres.get((alloc_tres, partition))
        if known is None:
            known = parse.gpus(alloc_tres)
            if UNTYPED in known:
                partition_type = self._partition_types.get(partition, "")
                known = gpus_named(known, partition_type=partition_type, default_type=self._gpu_type)
            if not all(GPU_TYPE.fullmatch(name) for name in known):
                raise ValueError(f"no name of a GPU type: {alloc_tres}")
            if len(self._tres) > 10_000:
                self._tres.clear()
            self._tres[alloc_tres, partition] = known
        return known

    def _time(self, text: str) -> datetime | None:
        """An aware time. sacct prints naive local time, whole seconds since the epoch, or a time with its offset.

        Raises ValueError.
        """
        if text in NO_TIME:
            return None
        if text.isascii() and text.isdigit() and len(text) > 8:
            return datetime.fromtimestamp(int(text), tz=UTC)
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=self._zone)
        return moment.astimezone(UTC)


def _whole(text: str) -> int:
    """Raises ValueError for anything but ASCII digits that fit a bigint."""
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise ValueError(f"not a whole number: {text!r}")
    return int(text)
