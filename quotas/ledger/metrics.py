"""The last verification as Prometheus metrics. Whoever owns /metrics registers `collect`; the ledger knows no page."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from quotas.ledger.models import Verification

# finding → the field that counts it
FINDINGS = {
    "drifted_account": "drifted_accounts",
    "unbalanced_unit": "unbalanced_units",
    "overdrawn_account": "overdrawn_accounts",
    "overdue_hold": "overdue_holds",
}


def collect() -> Iterator[Metric]:
    """What the last `verification_run` found. Reads one row, not the log: a scrape every few seconds costs nothing.

    The time of that run is 0 where there was none, so that one alert on its age also sees a ledger nobody verifies.
    """
    last = Verification.objects.first()
    verified = GaugeMetricFamily("saola_ledger_verified_timestamp_seconds", "When the ledger was last verified.")
    verified.add_metric([], last.verified_at.timestamp() if last else 0)
    yield verified
    if last is None:
        return
    duration = GaugeMetricFamily("saola_ledger_verification_duration_seconds", "How long the verification took.")
    duration.add_metric([], last.duration_s)
    transfers = GaugeMetricFamily("saola_ledger_transfers", "Transfers in the log.")
    transfers.add_metric([], last.transfers)
    findings = GaugeMetricFamily(
        "saola_ledger_findings", "What the last verification found wrong; all are 0.", labels=["finding"]
    )
    for finding, field in FINDINGS.items():
        findings.add_metric([finding], getattr(last, field))
    yield from (duration, transfers, findings)
