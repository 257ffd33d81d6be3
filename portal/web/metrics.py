"""/metrics: every app registers a function that yields metric families when asked.

    # in AppConfig.ready()
    metrics.register(collect)        # collect() -> Iterable[prometheus_client.core.Metric]

Nothing is counted in process memory: with several web processes each would tell another story. The figures come from
PostgreSQL, and a collector that fails is reported by name instead of taking the others with it.
"""

import logging
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import generate_latest
from prometheus_client.core import CollectorRegistry, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

logger = logging.getLogger(__name__)

Collect = Callable[[], Iterable[Metric]]
_collectors: list[Collect] = []


def register(collect: Collect) -> None:
    if collect not in _collectors:
        _collectors.append(collect)


class _All(Collector):
    def collect(self) -> Iterator[Metric]:
        failed = GaugeMetricFamily("saola_collector_failed", "1 where a collector failed.", labels=["collector"])
        for collect in _collectors:
            name = f"{collect.__module__}.{getattr(collect, '__qualname__', collect)}"
            try:
                families = list(collect())
            except Exception:  # one app's trouble must not hide the others' figures
                logger.exception("metrics: %s failed", name)
                failed.add_metric([name], 1)
            else:
                failed.add_metric([name], 0)
                yield from families
        yield failed


def render() -> bytes:
    """All families in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_All())
    return generate_latest(registry)
