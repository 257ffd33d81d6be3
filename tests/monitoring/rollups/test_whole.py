"""A GPU that is counted from the edges of a window has the figures that all of its samples give."""

from dataclasses import asdict
from datetime import timedelta

import pytest

from monitoring.rollups import whole, windows
from monitoring.rollups.prometheus import Prometheus
from monitoring.rollups.stretches import Amounts, Owner, Readings, fold
from tests.monitoring.conftest import hanoi
from tests.monitoring.rollups.conftest import SCRAPE_S, faulty

BEYOND_S = windows.BEYOND_SCRAPES * SCRAPE_S
ALWAYS = Owner("run", 0.0, 4e9, 0.0, 4e9)
STEADY = {"GPU-whole", "GPU-second", "GPU-real", "GPU-dull", "GPU-scalar"}


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "LEAST_GPUS", 1)


def quarter(clock: str) -> tuple[float, float]:
    began = hanoi(f"2026-06-10 {clock}")
    return began.timestamp(), (began + timedelta(minutes=15)).timestamp()


def counted(readings: Readings, owners: list[Owner], span: tuple[float, float]) -> dict[object, Amounts]:
    return fold(readings, owners, *span)


@pytest.mark.parametrize(
    ("clock", "steady"),
    [
        ("09:15", STEADY | {"GPU-gap", "GPU-restart"}),
        ("10:00", STEADY | {"GPU-restart"}),  # ten scrapes of one are missing
        ("10:15", STEADY | {"GPU-gap"}),  # the restart lies beyond its end, inside what is read
        ("10:30", STEADY | {"GPU-gap"}),
    ],
)
def test_edges_say_what_all_samples_say(prometheus: Prometheus, clock: str, steady: set[str]) -> None:
    span = quarter(clock)
    reads = span[0] - BEYOND_S, span[1] + BEYOND_S
    owners = {gpu.uuid: [ALWAYS] for gpu in faulty()}
    found = whole.whole_read(prometheus, owners, *reads, SCRAPE_S)
    everything = prometheus.series(*reads)
    assert found.keys() == steady
    for uuid, series in found.items():
        few = counted(Readings(series, SCRAPE_S, is_whole=True), owners[uuid], span)["run"]
        many = counted(Readings(everything[uuid], SCRAPE_S), owners[uuid], span)["run"]
        assert asdict(few) == pytest.approx(asdict(many), rel=1e-9, abs=2)
        assert len(series["gpu_observed_seconds_total"].at) < len(everything[uuid]["gpu_observed_seconds_total"].at) / 3


@pytest.mark.parametrize(
    "owners",
    [
        [],
        [Owner("run", 0.0, 4e9, None, None)],  # nobody of ours
        [Owner("run", 0.0, 4e9, quarter("09:20")[0], 4e9)],  # charged from a moment inside
        [Owner("one", 0.0, quarter("09:20")[0], 0.0, 4e9), Owner("two", quarter("09:20")[0], 4e9, 0.0, 4e9)],
    ],
)
def test_where_the_owner_changes_all_samples_are_read(prometheus: Prometheus, owners: list[Owner]) -> None:
    began, ended = quarter("09:15")
    everybody = {"GPU-whole": owners, "GPU-second": [ALWAYS]}
    found = whole.whole_read(prometheus, everybody, began - BEYOND_S, ended + BEYOND_S, SCRAPE_S)
    assert found.keys() == {"GPU-second"}


def test_the_rest_is_read_by_name_and_everything_comes_together(
    prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "NAMED_MOST", 1)
    began, ended = quarter("10:30")
    owners = {gpu.uuid: [ALWAYS] for gpu in faulty()} | {"GPU-unknown": [ALWAYS]}
    found = windows._read(prometheus, owners, began - BEYOND_S, ended + BEYOND_S)
    assert found.keys() == owners.keys() - {"GPU-unknown"}
    assert {uuid for uuid, one in found.items() if not one.is_whole} == {"GPU-restart"}
