from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from monitoring.attribution.models import Exporter
from portal.clock import now


def collect() -> Iterator[Metric]:
    labels = ["cluster", "node"]
    age = GaugeMetricFamily("saola_exporter_answer_age_seconds", "Time since an exporter answered.", labels=labels)
    lost = GaugeMetricFamily("saola_exporter_lost_events", "Events gone before they were read.", labels=labels)
    spools = GaugeMetricFamily("saola_exporter_spools", "How many spools a node has had.", labels=labels)
    for row in Exporter.objects.select_related("cluster"):
        names = [row.cluster.name, row.node]
        if row.answered_at is not None:
            age.add_metric(names, (now() - row.answered_at).total_seconds())
        lost.add_metric(names, row.lost_events)
        spools.add_metric(names, row.spools)
    yield from (age, lost, spools)
