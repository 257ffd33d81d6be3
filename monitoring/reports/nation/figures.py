"""What is made public of a quarter: the total, and it divided by GPU type, sector, product group and month."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models.functions import TruncMonth

from monitoring.days import Days
from monitoring.reports.nation.anonymity import Piece, Shown, shown_cells
from monitoring.rollups.models import OrganisationDay
from monitoring.rollups.selectors import SECOND_US, Throughput, throughputs_of, together
from quotas.estimator.peaks import PEAKS_VERSION

PARTS = ("gpu_type", "sector", "product_group", "month")
Content = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Share:
    """What one organisation has of one piece."""

    organisation: int
    cells: tuple[str, ...]
    found: Throughput


def content_of(days: Days, k: int) -> Content | None:
    """None where fewer than k organisations had GPU-time in these days.

    {"total": {...}, "gpu_type": {"shown": {"h100": {...}}, "others": {...} or None}, "sector": …}; each {...} has
    organisations, EFLOP-hours [lower, upper] against allocated_peak, coverage of the GPU-time, and what is not in it.
    """
    shares = list(_shares(days))
    pieces = _pieces(shares)
    shown = shown_cells(pieces, k) if pieces else None
    if shown is None:
        return None
    content: Content = {
        "least_organisations": k,
        "peak_table_version": PEAKS_VERSION,
        "total": _figures(shares),
    }
    for number, name in enumerate(PARTS):
        content[name] = _part(shares, number, shown[number])
    return content


def _part(shares: Iterable[_Share], number: int, shown: Shown) -> Content:
    by_cell: dict[str, list[_Share]] = {}
    others: list[_Share] = []
    for share in shares:
        key = share.cells[number]
        (by_cell.setdefault(key, []) if key in shown else others).append(share)
    return {
        "shown": {key: _figures(by_cell[key]) for key in sorted(by_cell)},
        "others": _figures(others) if others else None,
    }


def _figures(shares: Iterable[_Share]) -> Content:
    listed = list(shares)
    found = [share.found for share in listed]
    sums = together(found)
    allocated = sum(one.allocated_gpu_seconds for one in found)
    observed_us = sum(int(one.sums["observed_us"]) for one in found)
    return {
        "organisations": len({share.organisation for share in listed}),
        # Hours of different types do not add up: only where there is one type.
        "allocated_gpu_seconds": allocated if len({one.gpu_type for one in found}) == 1 else None,
        "fp8_eflop_hours": {
            "lower": sums.fp8.lower,
            "upper": sums.fp8.upper,
            "allocated_peak": sums.fp8.allocated_peak,
        },
        "coverage": observed_us / (allocated * SECOND_US) if allocated else None,
        "energy_kwh": sum(one.energy_kwh for one in found),
        "sources": sorted({source for one in found for source in one.sources}),
        "without": list(sums.unknown),
        "emulated": sums.is_emulated,
    }


def _shares(days: Days) -> Iterable[_Share]:
    rows = OrganisationDay.objects.filter(day__gte=days.first, day__lte=days.last).annotate(month=TruncMonth("day"))
    for keys, found in throughputs_of(rows, "organisation_id", "gpu_type", "sector", "product_group", "month"):
        if found.allocated_gpu_seconds:
            organisation, gpu_type, sector, group, month = keys
            yield _Share(organisation, (gpu_type, sector, group, f"{month:%Y-%m}"), found)


def _pieces(shares: Iterable[_Share]) -> list[Piece]:
    of: dict[tuple[str, ...], list[_Share]] = {}
    for share in shares:
        of.setdefault(share.cells, []).append(share)
    return [
        Piece(cells, frozenset(share.organisation for share in rows), sum(map(_weight, rows)))
        for cells, rows in of.items()
    ]


def _weight(share: _Share) -> float:
    """How much it is, of all types: of one whose peak is not known next to nothing."""
    return share.found.fp8.allocated_peak or share.found.allocated_gpu_seconds / 1e12


def part_rows(content: Content, name: str) -> list[tuple[str | None, Mapping[str, Any]]]:
    """A part's rows as they are shown: the largest first (months in order), the others last under None."""
    part = content[name]
    rows: list[tuple[str | None, Mapping[str, Any]]] = list(part["shown"].items())
    if name != "month":
        rows.sort(key=lambda row: -row[1]["fp8_eflop_hours"]["allocated_peak"])
    return rows + ([(None, part["others"])] if part["others"] else [])
