"""What the exporters answer, read carefully: other machines wrote it."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from monitoring.attribution.core import END, START
from monitoring.attribution.errors import ExporterError
from scheduler.clusters.models import Cluster

TIMEOUT_S = 3
ANSWER_BYTES = 8 * 1024 * 1024
EVENTS_A_PAGE = 1_000
GPUS_A_LINE = 512
FLOP_DIGITS = 39

_UUID = re.compile(r"(GPU|MIG)-[0-9A-Za-z-]{4,58}")
_FLOP = re.compile(rf"[0-9]{{1,{FLOP_DIGITS}}}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an exporter is."""

    cluster: Cluster
    node: str
    url: str


@dataclass(frozen=True, slots=True)
class SpoolEvent:
    n: int
    kind: str
    job: int
    uid: int
    at: datetime
    gpus: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Events after the number that was asked for. `oldest` and `newest` are 0 where the spool is empty."""

    spool: str
    oldest: int
    newest: int
    events: tuple[SpoolEvent, ...]


@dataclass(frozen=True, slots=True)
class Report:
    job: int
    uid: int
    began: datetime
    precision: str
    sparsity: str
    flop_total: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Refusal:
    job: int
    uid: int
    at: datetime
    reason: str


def places() -> Iterator[Place]:
    """Every exporter of EXPORTERS; where that gives one address for all nodes, those of the last look with GPUs."""
    for cluster in Cluster.objects.filter(name__in=settings.EXPORTERS, is_active=True).select_related("snapshot"):
        where = settings.EXPORTERS[cluster.name]
        if isinstance(where, str):
            nodes = cluster.snapshot.nodes if hasattr(cluster, "snapshot") else []
            where = {node["name"]: where.format(node=node["name"]) for node in nodes if node.get("gpus")}
        for node, url in where.items():
            yield Place(cluster, node, url)


def events_ask(url: str, after: int) -> Page:
    """Raises ExporterError."""
    answer = _get(url, f"/events?after={after}&limit={EVENTS_A_PAGE}")
    try:
        events = tuple(_event(row) for row in answer["events"])
        page = Page(str(answer["spool"])[:64], int(answer["oldest"]), int(answer["newest"]), events)
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise ExporterError(f"its events cannot be read: {error!r}"[:300]) from error
    if [event.n for event in events] != sorted({event.n for event in events if event.n > after}):
        raise ExporterError("its events are not in order")
    return page


def reports_ask(url: str) -> tuple[list[Report], list[Refusal]]:
    """Raises ExporterError."""
    answer = _get(url, "/reports")
    try:
        return [_report(row) for row in answer["reports"]], [_refusal(row) for row in answer["refused"]]
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise ExporterError(f"its reports cannot be read: {error!r}"[:300]) from error


def _event(row: Mapping[str, Any]) -> SpoolEvent:
    gpus = tuple(row["gpus"])
    if row["event"] not in (START, END) or len(gpus) > GPUS_A_LINE or not all(_UUID.fullmatch(gpu) for gpu in gpus):
        raise ValueError("no event of a hook")
    return SpoolEvent(int(row["n"]), row["event"], _number(row["job"]), _number(row["uid"]), _moment(row["at"]), gpus)


def _report(row: Mapping[str, Any]) -> Report:
    if not _FLOP.fullmatch(row["flop_total"]):
        raise ValueError("no number of FLOPs")
    return Report(
        _number(row["job"]),
        _number(row["uid"]),
        _moment(row["began"]),
        str(row["precision"])[:12],
        str(row["sparsity"])[:8],
        int(row["flop_total"]),
        _moment(row["at"]),
    )


def _refusal(row: Mapping[str, Any]) -> Refusal:
    return Refusal(_number(row["job"]), _number(row["uid"]), _moment(row["at"]), str(row["reason"])[:40])


def _number(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value < 2**62:
        raise ValueError("no number")
    return value


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(float(seconds), UTC)


def _get(url: str, path: str) -> Any:
    address = urlsplit(url)
    kind = HTTPSConnection if address.scheme == "https" else HTTPConnection
    connection = kind(address.hostname or "", address.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {settings.EXPORTER_TOKEN}"})
        answer = connection.getresponse()
        body = answer.read(ANSWER_BYTES + 1)
    except (OSError, HTTPException, ValueError) as error:
        raise ExporterError(f"it does not answer: {error}"[:300]) from error
    finally:
        connection.close()
    if answer.status != 200 or len(body) > ANSWER_BYTES:
        raise ExporterError(f"it answered {answer.status} with {len(body)} bytes")
    try:
        return json.loads(body)
    except ValueError as error:
        raise ExporterError("it answered something that is no JSON") from error
