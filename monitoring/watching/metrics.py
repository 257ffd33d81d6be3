from collections.abc import Iterator

from django.db.models import Count
from prometheus_client.core import GaugeMetricFamily, Metric

from monitoring.watching.models import Finding


def collect() -> Iterator[Metric]:
    family = GaugeMetricFamily("saola_findings_open", "What somebody should see to, by kind.", labels=["kind"])
    rows = Finding.objects.exclude(state=Finding.State.CLOSED).order_by().values_list("kind")
    counts = dict(rows.annotate(count=Count("pk")))
    for kind in Finding.Kind.values:
        family.add_metric([kind], counts.get(kind, 0))
    yield family
