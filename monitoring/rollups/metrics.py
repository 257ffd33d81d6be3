from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from monitoring.rollups.selectors import rollup_state


def collect() -> Iterator[Metric]:
    state = rollup_state()
    yield GaugeMetricFamily(
        "saola_rollup_windows_due", "Quarters of an hour that are to be counted.", value=state.windows_due
    )
    yield GaugeMetricFamily("saola_rollup_failures", "Failures of the last counting in a row.", value=state.failures)
    if state.lag_s is not None:
        yield GaugeMetricFamily("saola_rollup_lag_seconds", "How far the counting is behind.", value=state.lag_s)
