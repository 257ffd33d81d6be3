"""python -m monitoring.exporter: one node's GPUs, at /metrics, /events and /reports (docs/telemetry.md)."""

from __future__ import annotations

import argparse
import os
import signal
import threading
import time
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from monitoring.exporter.collecting import Collector
from monitoring.exporter.metrics import NodeCollector
from monitoring.exporter.node import GAP_INTERVALS, Node
from monitoring.exporter.reports import Reports
from monitoring.exporter.server import JSON, TEXT, Server, as_json
from monitoring.exporter.spool import EVENTS_MOST, Spool, booted_at

SCRAPE_WAITS_S = 0.3  # for the collection that it sets off
APART_S = 0.2  # two collections, at least


class Exporter:
    """The collecting thread: every `collect_s`, and when somebody scrapes."""

    def __init__(self, *, directory: Path, collect_s: float, deadline_s: float, retry_s: float) -> None:
        self.node = Node(collect_s)
        self.spool = Spool(directory, booted_at())
        self.reports = Reports(directory / "runs")
        self.collector = Collector(self.node, deadline_s=deadline_s, retry_s=retry_s)
        self.registry = CollectorRegistry()
        self.registry.register(NodeCollector(self.node, self.spool, self.reports))
        self.collect_s = collect_s
        self._map = directory / "exporter" / "gpus.map"
        self._turn = threading.Condition()
        self._asked = self._done = 0
        self._began = 0.0
        self._is_over = False

    def run(self) -> None:
        while not self._is_over:
            with self._turn:
                self._turn.wait_for(lambda: self._asked > self._done or self._is_over, self._left_s())
                asked = self._asked
            if self._is_over:
                break
            self._began = time.monotonic()
            self.collect()
            with self._turn:
                self._done = max(asked, self._done)
                self._turn.notify_all()
        self.collector.close()

    def collect(self) -> None:
        self.collector.collect(self.spool.follow())
        self.spool.show()
        self.node.expire(time.monotonic() - self.collect_s * GAP_INTERVALS)
        self.reports.read()
        self._map_write()

    def scraped(self, asked: dict[str, int]) -> bytes:
        """What is known after a collection that this scrape set off, or before it where that takes too long."""
        with self._turn:
            if time.monotonic() - self._began > APART_S:
                self._asked += 1
                wanted = self._asked
                self._turn.notify_all()
                self._turn.wait_for(lambda: self._done >= wanted, SCRAPE_WAITS_S)
        self.node.expire(time.monotonic() - self.collect_s * GAP_INTERVALS)
        return generate_latest(self.registry)

    def end(self) -> None:
        with self._turn:
            self._is_over = True
            self._turn.notify_all()

    def _left_s(self) -> float:
        return max(self._began + self.collect_s - time.monotonic(), 0)

    def _map_write(self) -> None:
        """Whose the devices are, in the order in which Slurm counts them: by minor number, then by instance."""
        devices = [one for one in self.node.devices.values() if not one.has_slices]
        devices.sort(key=lambda one: (int(one.labels[1]), int(one.labels[4] or 0)))
        text = "".join(f"{place} {one.labels[2]}\n" for place, one in enumerate(devices))
        try:
            if devices and (not self._map.exists() or self._map.read_text() != text):
                new = self._map.with_suffix(".new")
                new.write_text(text)
                new.replace(self._map)
        except OSError:
            self.node.failures["map_not_written"] += 1


def main() -> None:
    parser = argparse.ArgumentParser(prog="monitoring.exporter", description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:9445", help="address:port")
    parser.add_argument("--token-file", type=Path, required=True, help="what readers must show")
    parser.add_argument(
        "--directory", type=Path, required=True, help="of this node: the hooks' spool and report folders"
    )
    parser.add_argument("--collect-s", type=float, default=5.0, help="a reading at least so often")
    parser.add_argument("--deadline-s", type=float, default=1.0, help="for one GPU to answer")
    parser.add_argument("--retry-s", type=float, default=30.0, help="first pause before a hung GPU is tried again")
    options = parser.parse_args()
    host, _, port = options.listen.rpartition(":")
    os.umask(0o077)
    exporter = Exporter(
        directory=options.directory,
        collect_s=options.collect_s,
        deadline_s=options.deadline_s,
        retry_s=options.retry_s,
    )
    paths = {
        "/metrics": (TEXT, exporter.scraped),
        "/events": (JSON, lambda q: as_json(exporter.spool.after(q.get("after", 0), q.get("limit", EVENTS_MOST)))),
        "/reports": (JSON, lambda q: as_json(exporter.reports.answer())),
    }
    server = Server((host, int(port)), options.token_file.read_text().strip(), paths)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: exporter.end())
    exporter.run()


if __name__ == "__main__":
    main()
