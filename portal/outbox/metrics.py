from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from portal.outbox.selectors import backlogs


def collect() -> Iterator[Metric]:
    undelivered = GaugeMetricFamily(
        "saola_outbox_undelivered", "Messages that wait to be delivered.", labels=["queue", "topic"]
    )
    failing = GaugeMetricFamily(
        "saola_outbox_failing", "Undelivered messages whose delivery failed at least once.", labels=["queue", "topic"]
    )
    oldest = GaugeMetricFamily(
        "saola_outbox_oldest_age_seconds", "Age of the oldest undelivered message.", labels=["queue", "topic"]
    )
    for backlog in backlogs():
        labels = [backlog.queue, backlog.topic]
        undelivered.add_metric(labels, backlog.undelivered)
        failing.add_metric(labels, backlog.failing)
        oldest.add_metric(labels, backlog.oldest_age_s)
    yield from (undelivered, failing, oldest)
