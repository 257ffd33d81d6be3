"""Energy and CO₂: what the GPUs' own counters say, times what the centre says of itself and the country of its grid.

Measured is the energy of GPUs in the time that was observed; nothing is added for the rest, which is named beside it.
PUE (the centre's energy ÷ that of its computers) and the grid's emission factor hold from a day until the next one's:
those that operators entered, and the published ones of monitoring/throughput/grid.json but where an operator entered
one of the same day. Where no PUE is known, the CO₂ is that of the GPUs alone, and said to be.
"""

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

from monitoring import throughput
from monitoring.reports.models import EnergyFactor
from monitoring.rollups.selectors import Report, Throughput

_PUBLISHED = json.loads(Path(throughput.__path__[0], "grid.json").read_text())


@dataclass(frozen=True, slots=True)
class Factor:
    value: Decimal
    valid_from: date
    source: str


@dataclass(frozen=True, slots=True)
class Factors:
    """Each in order of its day."""

    pue: tuple[Factor, ...]
    grid: tuple[Factor, ...]  # t CO₂ per MWh, which is kg per kWh

    def on(self, day: date) -> tuple[Factor | None, Factor | None]:
        return _last(self.pue, day), _last(self.grid, day)


@dataclass(frozen=True, slots=True)
class Energy:
    """Of one GPU type, of a day or of many. None: a factor is not known for some of the days."""

    gpu_kwh: float
    centre_kwh: float | None  # with PUE
    co2_kg: float | None  # of the centre's energy where a PUE is known, else of the GPUs' alone
    is_co2_of_gpus_alone: bool


@dataclass(frozen=True)
class EnergyReport:
    by_type: Mapping[str, Energy]
    by_day: Mapping[date, Mapping[str, Energy]]
    factors: tuple[Factor, ...]  # that were used
    total: Energy  # energy adds up over types


def factors_read() -> Factors:
    found: dict[str, dict[date, Factor]] = {
        EnergyFactor.Kind.PUE: {},
        EnergyFactor.Kind.GRID: {one.valid_from: one for one in published()},
    }
    for row in EnergyFactor.objects.order_by("id"):
        found[row.kind][row.valid_from] = Factor(row.value, row.valid_from, row.source)
    pue, grid = (tuple(sorted(rows.values(), key=lambda one: one.valid_from)) for rows in found.values())
    return Factors(pue, grid)


def published() -> list[Factor]:
    """The grid's, as the country publishes them."""
    return [
        Factor(
            Decimal(row["value"]), date.fromisoformat(row["valid_from"]), _PUBLISHED["sources"][row["source"]]["title"]
        )
        for row in _PUBLISHED["grid_t_per_mwh"]
    ]


def energy_of(report: Report, factors: Factors) -> EnergyReport:
    """Each day by the factors of that day."""
    by_day: dict[date, dict[str, Energy]] = {}
    by_type: dict[str, list[Energy]] = {}
    used: set[Factor] = set()
    for day, found in report.by_day.items():
        pue, grid = factors.on(day)
        used |= {one for one in (pue, grid) if one}
        by_day[day] = {gpu_type: _energy(one, pue, grid) for gpu_type, one in found.items()}
        for gpu_type, energy in by_day[day].items():
            by_type.setdefault(gpu_type, []).append(energy)
    return EnergyReport(
        {gpu_type: added(by_type[gpu_type]) for gpu_type in sorted(by_type)},
        by_day,
        tuple(sorted(used, key=lambda one: (one in factors.grid, one.valid_from))),
        added(energy for rows in by_type.values() for energy in rows),
    )


def added(rows: Iterable[Energy]) -> Energy:
    listed = list(rows)
    centre, co2 = [one.centre_kwh for one in listed], [one.co2_kg for one in listed]
    return Energy(
        sum(one.gpu_kwh for one in listed),
        None if None in centre else sum(one or 0.0 for one in centre),
        None if None in co2 else sum(one or 0.0 for one in co2),
        any(one.is_co2_of_gpus_alone for one in listed),
    )


def _energy(found: Throughput, pue: Factor | None, grid: Factor | None) -> Energy:
    gpus = found.energy_kwh
    centre = None if pue is None else gpus * float(pue.value)
    emitting = gpus if centre is None else centre
    return Energy(gpus, centre, None if grid is None else emitting * float(grid.value), pue is None)


def _last(factors: tuple[Factor, ...], day: date) -> Factor | None:
    number = bisect_right(factors, day, key=lambda one: one.valid_from)
    return factors[number - 1] if number else None
