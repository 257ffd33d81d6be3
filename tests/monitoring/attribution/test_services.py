"""Spools are taken over once, whatever is asked again: on a real HTTP answer and a real PostgreSQL."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from monitoring.attribution import services
from monitoring.attribution.asking import events_ask, reports_ask
from monitoring.attribution.errors import ExporterError
from monitoring.attribution.models import Declared, Exporter, HookEvent, Interval, Refused
from scheduler.clusters.models import Cluster

pytestmark = pytest.mark.django_db
AT = 1_781_000_000.25


def page(**wrong: object) -> bytes:
    event = {"n": 1, "event": "start", "job": 1, "uid": 0, "at": AT, "gpus": []} | wrong
    return json.dumps({"spool": "a", "oldest": 1, "newest": 1, "events": [event]}).encode()


class Node:
    """An exporter's answers, as it writes them."""

    def __init__(self) -> None:
        self.spool, self.events, self.oldest = "first", [], 1
        self.reports: dict[str, Any] = {"reports": [], "refused": []}
        self.raw: bytes | None = None
        self.asked: list[str] = []

    def add(self, kind: str, job: int, at: float, *gpus: str) -> None:
        n = self.events[-1]["n"] + 1 if self.events else self.oldest
        self.events.append({"n": n, "event": kind, "job": job, "uid": 1_000, "at": at, "gpus": list(gpus)})

    def answer(self, path: str) -> bytes:
        self.asked.append(path)
        if self.raw is not None:
            return self.raw
        if path.startswith("/reports"):
            return json.dumps(self.reports).encode()
        after = int(path.partition("after=")[2].partition("&")[0])
        events = [one for one in self.events if one["n"] > after and one["n"] >= self.oldest][:2]
        newest = self.events[-1]["n"] if self.events else 0
        return json.dumps({"spool": self.spool, "oldest": self.oldest, "newest": newest, "events": events}).encode()


@pytest.fixture
def node(settings: Settings, cluster: Cluster) -> Iterator[Node]:
    """Two events a page, behind the token."""
    told = Node()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            ok = self.headers["Authorization"] == "Bearer right"
            self.send_response(200 if ok else 401)
            self.end_headers()
            self.wfile.write(told.answer(self.path) if ok else b"")

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    settings.EXPORTERS = {cluster.name: {"gpu001": f"http://127.0.0.1:{server.server_port}"}}
    settings.EXPORTER_TOKEN = "right"
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


def url(settings: Settings) -> str:
    return str(settings.EXPORTERS["local"]["gpu001"])


def test_pages_are_read_to_the_end_and_once(node: Node) -> None:
    for number in range(3):
        node.add("start", number + 1, AT + 100 * number, "GPU-00000001", "GPU-00000002")
        node.add("end", number + 1, AT + 100 * number + 90)  # the hook did not know which
    assert services.exporters_pull() == 0
    assert (HookEvent.objects.count(), Interval.objects.count()) == (6, 6)
    assert not Interval.objects.filter(ended_at=None).exists()
    before = list(Interval.objects.order_by("pk").values())
    services.exporters_pull()
    assert node.asked[-2].startswith("/events?after=6&")
    assert list(Interval.objects.order_by("pk").values()) == before


def test_events_that_were_lost_are_counted(node: Node) -> None:
    node.add("start", 1, AT, "GPU-00000001")
    services.exporters_pull()
    for number in range(5):
        node.add("start", number + 2, AT + number, "GPU-00000001")
    node.oldest = 4
    services.exporters_pull()
    exporter = Exporter.objects.get()
    assert (exporter.lost_events, exporter.read_n) == (2, 6)


def test_another_spool_begins_anew(node: Node) -> None:
    node.add("start", 1, AT, "GPU-00000001")
    services.exporters_pull()
    node.spool, node.events = "second", []
    node.add("start", 2, AT + 5, "GPU-00000001")
    services.exporters_pull()
    exporter = Exporter.objects.get()
    assert (exporter.spool, exporter.read_n, exporter.spools, exporter.lost_events) == ("second", 1, 2, 0)
    assert HookEvent.objects.count() == 2


def test_an_exporter_without_answer_is_noted_and_takes_nobody_with_it(node: Node, settings: Settings) -> None:
    node.add("start", 1, AT, "GPU-00000001")
    settings.EXPORTERS["local"]["gpu002"] = "http://127.0.0.1:9"
    assert services.exporters_pull() == 1
    dead = Exporter.objects.get(node="gpu002")
    assert dead.failures == 1
    assert "does not answer" in dead.error
    assert HookEvent.objects.count() == 1
    settings.EXPORTER_TOKEN = "wrong"
    assert services.exporters_pull() == 2


@pytest.mark.parametrize(
    "raw",
    [
        b"no JSON",
        b"[]",
        b'{"spool": "a", "oldest": 1, "newest": 1, "events": [{"n": 1}]}',
        page(job=-1),
        page(at=1e30),
        page(gpus=["x"]),
    ],
    ids=["text", "list", "hollow", "negative", "far", "no-uuid"],
)
def test_what_no_exporter_writes_is_refused(node: Node, settings: Settings, raw: bytes) -> None:
    node.raw = raw
    with pytest.raises(ExporterError):
        events_ask(url(settings), 0)
    assert services.exporters_pull() == 1
    assert not HookEvent.objects.exists()


def test_declared_flops_only_grow_and_what_was_refused_is_kept(node: Node, settings: Settings) -> None:
    report = {"job": 1, "uid": 1_000, "began": AT, "precision": "fp8", "sparsity": "dense", "at": AT + 60}
    node.reports = {
        "reports": [report | {"flop_total": str(10**20)}],
        "refused": [{"job": 2, "uid": 1_000, "at": AT, "reason": "not-a-number"}],
    }
    services.exporters_pull()
    node.reports["reports"] = [report | {"flop_total": "7"}]
    services.exporters_pull()
    assert Declared.objects.get().flop_total == 10**20
    node.reports["reports"] = [report | {"flop_total": str(2 * 10**20), "at": AT + 120}]
    services.exporters_pull()
    assert Declared.objects.get().flop_total == 2 * 10**20
    assert Refused.objects.get().reason == "not-a-number"
    node.reports["reports"] = [report | {"flop_total": "NaN"}]
    with pytest.raises(ExporterError):
        reports_ask(url(settings))
    assert Exporter.objects.get().answered_at > datetime(2026, 1, 1, tzinfo=UTC)
