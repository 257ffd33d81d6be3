"""The exporter's HTTP: three paths, a token for each of them, and nobody who can make others wait."""

from __future__ import annotations

import hmac
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

CONNECTION_S = 5
CONNECTIONS_MOST = 16
TEXT, JSON = "text/plain; version=0.0.4; charset=utf-8", "application/json"

# path → (content type, answer by the query's parameters)
Paths = dict[str, tuple[str, Callable[[dict[str, int]], bytes]]]


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], token: str, paths: Paths) -> None:
        self.wanted = f"Bearer {token}".encode()
        self.paths = paths
        self._room = threading.BoundedSemaphore(CONNECTIONS_MOST)
        super().__init__(address, Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that ends early is nobody's fault."""


class Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = CONNECTION_S
    server_version, sys_version = "saola-exporter", ""

    def do_GET(self) -> None:
        if not hmac.compare_digest(self.headers.get("Authorization", "").encode(), self.server.wanted):
            return self._answer(401, TEXT, b"a token is needed\n")
        parts = urlsplit(self.path)
        found = self.server.paths.get(parts.path)
        if found is None:
            return self._answer(404, TEXT, b"there is nothing here\n")
        kind, answer = found
        try:
            asked = {name: int(values[0]) for name, values in parse_qs(parts.query, max_num_fields=4).items()}
        except ValueError:
            return self._answer(400, TEXT, b"parameters are whole numbers\n")
        self._answer(200, kind, answer(asked))

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Prometheus asks every few seconds."""


def as_json(what: dict[str, Any]) -> bytes:
    return json.dumps(what).encode()
