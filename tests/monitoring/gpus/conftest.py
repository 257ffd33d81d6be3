from tests.monitoring.rollups.conftest import _in_june, count, exporter, says

__all__ = ["_in_june", "count", "exporter", "says"]
