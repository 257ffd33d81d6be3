"""What is stored, and the last verification, as Prometheus metrics. Reads no file: a scrape costs next to nothing."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from portal.files import disk
from portal.files.models import Verification
from portal.files.selectors import totals

FINDINGS = ("missing", "damaged", "orphaned", "exposed")


def collect() -> Iterator[Metric]:
    """The time of the last verification is 0 where there was none: one alert on its age also sees that."""
    stored = totals()
    for name, text, value in (
        ("saola_files_uploads", "Uploads that are kept.", stored.uploads),
        ("saola_files_contents", "Files on the disk; equal uploads share one.", stored.contents),
        ("saola_files_size_bytes", "Size of the files on the disk.", stored.size_bytes),
    ):
        yield _gauge(name, text, value)
    if disk.root().is_dir():
        yield _gauge("saola_files_free_bytes", "What may still be written where uploads lie.", disk.free_bytes())
    last = Verification.objects.first()
    yield _gauge(
        "saola_files_verified_timestamp_seconds",
        "When the stored files were last verified.",
        last.verified_at.timestamp() if last else 0,
    )
    if last is None:
        return
    yield _gauge("saola_files_verification_duration_seconds", "How long the verification took.", last.duration_s)
    findings = GaugeMetricFamily(
        "saola_files_findings", "What the last verification found; only orphaned may be above 0.", labels=["finding"]
    )
    for finding in FINDINGS:
        findings.add_metric([finding], getattr(last, finding))
    yield findings


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text)
    family.add_metric([], value)
    return family
