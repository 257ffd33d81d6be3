"""Sick GPUs and silent nodes on the same day in June, between 11 and 12 o'clock, one for each way."""

from tests.monitoring.rollups.conftest import scrapes
from tests.monitoring.rollups.tsdb import Gauge

CLUSTER = 'job="gpu",cluster="local"'


def sick() -> list[Gauge]:
    times = scrapes("11:00", "12:00")
    late = [at for at in times if at >= times[-8]]  # the last two minutes
    before = [at for at in times if at < times[-8]]
    return [
        _up("well", "n1", "ok", times, 1),
        _up("lost", "n1", "lost", times, 0),
        # Lost for two minutes: another series, by its label.
        _up("just", "n1", "ok", before, 1),
        _up("just", "n1", "hung", late, 0),
        _up("xid", "n2", "ok", times, 1),
        # The first of its kind makes the series, ten minutes ago; one that a job makes itself; and one of long ago.
        Gauge("gpu_xid_errors_total", f'{CLUSTER},node="n2",uuid="GPU-xid",xid="79"', dict.fromkeys(times[-40:], 1.0)),
        Gauge("gpu_xid_errors_total", f'{CLUSTER},node="n2",uuid="GPU-well",xid="13"', dict.fromkeys(late, 1.0)),
        Gauge("gpu_xid_errors_total", f'{CLUSTER},node="n1",uuid="GPU-well",xid="48"', dict.fromkeys(times, 1.0)),
        _up("ecc", "n2", "ok", times, 1),
        Gauge(
            "gpu_ecc_errors_total",
            f'{CLUSTER},node="n2",uuid="GPU-ecc",kind="uncorrected"',
            {at: float(at >= times[-40]) for at in times},
        ),
        Gauge("up", f'{CLUSTER},node="n1"', dict.fromkeys(times, 1.0)),
        Gauge("up", f'{CLUSTER},node="n2"', {at: float(at < times[-60]) for at in times}),
    ]


def _up(name: str, node: str, state: str, times: list[float], value: float) -> Gauge:
    return Gauge("gpu_up", f'{CLUSTER},node="{node}",uuid="GPU-{name}",state="{state}"', dict.fromkeys(times, value))
