"""Raw samples by Prometheus' HTTP API, and nothing that only Prometheus has: `/api/v1/query` of a range selector.

It answers with every sample as it was scraped, at its own time. `query_range` and the functions of PromQL would
interpolate: exact increases need the samples.
"""

import base64
import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

from monitoring.rollups.stretches import AGE, COUNTERS, Name, Samples

TIMEOUT_S = 60
INFO = "gpu_info"
JOB = "gpu"  # the scrape job of the exporters, in Prometheus' configuration
LABEL = {"gpm_counter": "source", "gpm_gauge": "source"}


class PrometheusError(Exception):
    """It did not answer, or not with everything. Nothing is known then: least of all that there was nothing."""


@dataclass(frozen=True, slots=True)
class Info:
    """What an exporter says of a GPU or slice beside its counters."""

    emulated: bool
    gpu_type: str


class Prometheus:
    """One server, by its address; a name and a password may stand in it."""

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self.address = urlsplit(url)
        if self.address.scheme not in ("http", "https") or not self.address.hostname:
            raise PrometheusError("PROMETHEUS_URL names no Prometheus")
        self.timeout_s = timeout_s

    def series(self, began: float, ended: float, uuids: Sequence[str] = ()) -> dict[str, dict[Name, Samples]]:
        """Every sample of every counter in [began, ended], by UUID; of these GPUs, or of all.

        One request a counter; the window is the bound. Raises PrometheusError.
        """
        found: dict[str, dict[Name, Samples]] = {}
        times: dict[str, Sequence[float]] = {}
        for name in (*COUNTERS, AGE):
            for uuid, samples in self._read(name, began, ended, uuids):
                known = found.setdefault(uuid, {})
                if name in known:
                    samples = _merged(known[name], samples)
                if samples.at == times.setdefault(uuid, samples.at):
                    samples = Samples(times[uuid], samples.values)  # one list of times a GPU, not one a series
                known[name] = samples
        return found

    def infos(self, began: float, ended: float) -> dict[str, Info]:
        """By UUID, from the last sample of each in [began, ended]; emulated if any of them says so."""
        found: dict[str, Info] = {}
        for row in self._query(f'last_over_time({INFO}{{job="{JOB}"}}[{_length(began, ended)}])', ended):
            labels = row["metric"]
            before = found.get(labels.get("uuid", ""))
            emulated = labels.get("emulated") != "false" or bool(before and before.emulated)
            found[labels.get("uuid", "")] = Info(emulated, labels.get("gpu_type", "").lower())
        return found

    def _read(self, name: Name, began: float, ended: float, uuids: Sequence[str]) -> Iterator[tuple[str, Samples]]:
        for row in self._query(selector_of(name, began, ended, uuids), ended):
            values = row["values"]
            yield (
                row["metric"].get("uuid", ""),
                Samples(array("d", [at for at, _value in values]), array("d", [float(value) for _at, value in values])),
            )

    def at(self, query: str, moment: float) -> list[dict[str, Any]]:
        """Series as they were at a moment, each with its `metric` and `value`. The query is the bound. Raises
        PrometheusError."""
        return self._query(query, moment)

    def grid(self, query: str, began: float, ended: float, step: float) -> list[dict[str, Any]]:
        """Series at began, began + step, … up to ended, each with its `metric` and `values`. Raises PrometheusError."""
        times = {"start": f"{began:.3f}", "end": f"{ended:.3f}", "step": f"{step:.3f}"}
        return self._ask("/api/v1/query_range", {"query": query} | times)

    def _query(self, query: str, moment: float) -> list[dict[str, Any]]:
        return self._ask("/api/v1/query", {"query": query, "time": f"{moment:.3f}"})

    def _ask(self, path: str, form: dict[str, str]) -> list[dict[str, Any]]:
        body = self._post(path, urlencode(form))
        try:
            answer = json.loads(body)
        except ValueError as error:
            raise PrometheusError("Prometheus answered something that is no JSON") from error
        if answer.get("status") != "success" or answer.get("warnings"):
            raise PrometheusError(f"Prometheus: {answer.get('error') or answer.get('warnings')}"[:300])
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def _post(self, path: str, form: str) -> bytes:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if self.address.username:
            pair = f"{unquote(self.address.username)}:{unquote(self.address.password or '')}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        kind = HTTPSConnection if self.address.scheme == "https" else HTTPConnection
        connection = kind(self.address.hostname or "", self.address.port, timeout=self.timeout_s)
        try:
            connection.request("POST", self.address.path.rstrip("/") + path, form, headers)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, HTTPException) as error:
            raise PrometheusError(f"Prometheus does not answer: {error}"[:300]) from error
        finally:
            connection.close()
        if answer.status != 200:
            raise PrometheusError(f"Prometheus answered {answer.status}: {body[:200].decode(errors='replace')}")
        return body


def selector_of(name: Name, began: float, ended: float, uuids: Sequence[str] = ()) -> str:
    """Of a counter's samples in a time, asked at its end. A UUID has nothing that a regular expression would read."""
    metric, source = name if isinstance(name, tuple) else (name, "")
    labels = [
        f'job="{JOB}"',
        *([f'source="{source}"'] if source else []),
        *([f'uuid=~"{"|".join(uuids)}"'] if uuids else []),
    ]
    return f"{metric}{{{','.join(labels)}}}[{_length(began, ended)}]"


def _length(began: float, ended: float) -> str:
    return f"{max(1, round((ended - began) * 1_000))}ms"


def _merged(one: Samples, other: Samples) -> Samples:
    """Two series of one GPU: its exporter moved to another address. Of one moment the first counts."""
    pairs = dict(zip(other.at, other.values, strict=True)) | dict(zip(one.at, one.values, strict=True))
    return Samples(array("d", sorted(pairs)), array("d", [pairs[at] for at in sorted(pairs)]))
