"""How the measuring itself is: exporters, Prometheus, the counting. For operators; asked from Prometheus once for all
who look, every few seconds at most."""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.cache import caches
from redis.exceptions import RedisError

from monitoring.attribution.models import Exporter
from monitoring.rollups.prometheus import JOB, Prometheus, PrometheusError
from monitoring.rollups.selectors import RollupState, counted_until, rollup_state
from portal.clock import now
from portal.web.templatetags.ui import duration

KEPT_S = 10
TIMEOUT_S = 5
_KEY = "watching:health"
Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """One node: the portal's own asking, and what Prometheus last scraped there. None: it does not say."""

    exporter: Exporter
    age_s: float | None  # since it answered the portal
    behind: int  # events in its spool that are not read yet
    scraped: bool | None
    version: str
    driver: str
    gpus: Mapping[str, int]  # by how they are
    collect_s: float | None
    clock_s: float | None  # ahead of Prometheus'

    @property
    def is_well(self) -> bool:
        sick = sum(number for state, number in self.gpus.items() if state != "ok")
        return not self.exporter.failures and self.scraped is not False and not self.behind and not sick


@dataclass(frozen=True, slots=True)
class PrometheusHealth:
    error: str = ""
    version: str = ""
    series: int | None = None
    targets: int = 0
    targets_down: int = 0
    alerts: list[Labels] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Health:
    nodes: list[NodeHealth]
    prometheus: PrometheusHealth
    rollup: RollupState
    counted_until: datetime | None
    asked_at: datetime

    @property
    def up(self) -> int:
        return self.prometheus.targets - self.prometheus.targets_down

    @property
    def lag(self) -> str:
        return duration(self.rollup.lag_s) if self.rollup.lag_s is not None else "–"


def health() -> Health:
    asked = _asked()
    moment = now()
    by_node = asked.get("nodes", {})
    nodes = []
    for row in Exporter.objects.select_related("cluster").order_by("cluster__title", "node"):
        one = by_node.get(f"{row.cluster.name} {row.node}", {})
        nodes.append(_node(row, one, moment))
    return Health(nodes, PrometheusHealth(**asked["prometheus"]), rollup_state(), counted_until(), moment)


def _node(row: Exporter, said: Mapping[str, Any], moment: datetime) -> NodeHealth:
    return NodeHealth(
        row,
        None if row.answered_at is None else (moment - row.answered_at).total_seconds(),
        max(row.newest_n - row.read_n, 0),
        said.get("up"),
        said.get("version", ""),
        said.get("driver", ""),
        said.get("gpus", {}),
        said.get("collect_s"),
        said.get("clock_s"),
    )


def _asked() -> dict[str, Any]:
    """From Redis while it is fresh. Without Redis it is asked each time: these are a handful of operators."""
    known: dict[str, Any] | None = None
    with suppress(RedisError, OSError):
        known = caches["redis"].get(_KEY)
    if known is None:
        known = _ask()
        with suppress(RedisError, OSError):
            caches["redis"].set(_KEY, known, timeout=KEPT_S)
    return known


def _ask() -> dict[str, Any]:
    moment = now().timestamp()
    try:
        prometheus = Prometheus(settings.PROMETHEUS_URL, timeout_s=TIMEOUT_S)
        return {"nodes": _nodes(prometheus, moment), "prometheus": _itself(prometheus, moment)}
    except PrometheusError as error:
        return {"nodes": {}, "prometheus": {"error": str(error)}}


def _nodes(prometheus: Prometheus, moment: float) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = defaultdict(dict)

    def rows(query: str) -> list[tuple[dict[str, Any], Labels, float]]:
        asked = prometheus.at(query, moment)
        of = [(f"{row['metric'].get('cluster', '')} {row['metric'].get('node', '')}", row) for row in asked]
        return [(found[name], row["metric"], float(row["value"][1])) for name, row in of]

    for node, _labels, value in rows(f'up{{job="{JOB}"}}'):
        node["up"] = value > 0
    for node, labels, _value in rows("gpu_exporter_info"):
        node["version"] = labels.get("version", "")
    for node, labels, _value in rows("count by (cluster, node, driver_version) (gpu_info)"):
        node["driver"] = labels.get("driver_version", "")
    for node, labels, value in rows("gpu_exporter_gpus > 0"):
        node.setdefault("gpus", {})[labels.get("state", "")] = int(value)
    for node, _labels, value in rows("gpu_exporter_collect_seconds"):
        node["collect_s"] = value
    skew = "gpu_exporter_scrape_timestamp_seconds - timestamp(gpu_exporter_scrape_timestamp_seconds)"
    for node, _labels, value in rows(skew):
        node["clock_s"] = value
    return dict(found)


def _itself(prometheus: Prometheus, moment: float) -> dict[str, Any]:
    version = prometheus.at("prometheus_build_info", moment)
    series = prometheus.at("sum(prometheus_tsdb_head_series)", moment)
    up = [float(row["value"][1]) for row in prometheus.at("up", moment)]
    alerts = prometheus.at('ALERTS{alertstate="firing"}', moment)
    return {
        "version": version[0]["metric"].get("version", "") if version else "",
        "series": int(float(series[0]["value"][1])) if series else None,
        "targets": len(up),
        "targets_down": sum(not value for value in up),
        "alerts": [{"name": row["metric"].get("alertname", ""), **_place(row["metric"])} for row in alerts][:50],
    }


def _place(labels: Labels) -> dict[str, str]:
    return {name: labels[name] for name in ("severity", "node", "ordinal", "uuid") if name in labels}
