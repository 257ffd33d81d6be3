"""Telemetry as a document: titled tables, which the statements' renderers make XLSX and PDF of, and CSV for the public
figures. The numbers are the page's."""

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from monitoring.days import Days
from monitoring.reports.energy import Energy, Factor, added
from monitoring.reports.nation.figures import PARTS, part_rows
from monitoring.reports.nation.quarters import Quarter
from monitoring.reports.subjects import ByPurpose, Telemetry, purpose_word
from monitoring.reports.throughput import PFLOP_HOURS, Range, cause_words, source_words
from monitoring.reports.waterfall import steps_of
from monitoring.rollups.selectors import Throughput, together
from quotas.statements.renderers.document import Cell, Column, Document, Table, hours

DAYS_SINGLY = 62  # on paper; of more days months are shown


def document_of(found: Telemetry, *, on_paper: bool = False) -> Document:
    """In the active language. `on_paper`: months in place of days where there are many."""
    report = found.report
    by_month = on_paper and len(report.days) > DAYS_SINGLY
    tables = [_delivered(found), _lost(found), _energy(found)]
    for name, by, title in (
        ("sector", found.sectors, _("By sector")),
        ("product_group", found.product_groups, _("By product group")),
    ):
        if by:
            tables.append(_purposes(name, title, by))
    tables += [_by_month(found) if by_month else _by_day(found)]
    return Document(
        number=f"{report.days.first} – {report.days.last}",
        title=_("GPU telemetry of %(name)s") % {"name": found.subject.name},
        facts=_facts(found),
        tables=tables,
        kind=_("Telemetry"),
    )


def _facts(found: Telemetry) -> list[tuple[str, str]]:
    report = found.report
    sources = {source for one in report.by_type.values() for source in one.sources}
    words = source_words()
    facts = [
        (_("Days"), _("%(days)s, of %(zone)s") % {"days": days_text(report.days), "zone": settings.CENTRE_TIME_ZONE}),
        (_("Sources"), ", ".join(word for name, word in words.items() if name in sources)),
        (_("Peak table"), report.peaks_version),
        (_("Emulated"), _("yes") if any(one.is_emulated for one in report.by_type.values()) else _("no")),
    ]
    if report.counted_until:
        facts.append((_("Counted until"), date_format(report.counted_until, "SHORT_DATETIME_FORMAT")))
    return facts + [(_("Factor"), factor_text(one)) for one in found.energy.factors]


def days_text(days: Days) -> str:
    return f"{days.first:%d/%m/%Y} – {days.last:%d/%m/%Y}"


def factor_text(one: Factor) -> str:
    words = {
        "value": f"{one.value.normalize():f}",
        "day": date_format(one.valid_from, "SHORT_DATE_FORMAT"),
        "source": one.source,
    }
    return _("%(value)s from %(day)s on (%(source)s)") % words


# --- tables -------------------------------------------------------------------------------------------------------


def _measure(amount: float | None) -> Cell:
    return _("unknown") if amount is None else Decimal(f"{amount:.6f}")


def _percent(part: float | None) -> Cell:
    return None if part is None else Decimal(f"{100 * part:.3f}")


def _type_name(found: Throughput) -> str:
    return f"{found.gpu_type.upper()} ({_('emulated')})" if found.is_emulated else found.gpu_type.upper()


def _pflop_columns() -> list[Column]:
    return [
        Column(_("FP8 declared, PFLOP-hours"), "measure"),
        Column(_("FP8 at most, PFLOP-hours"), "measure"),
        Column(_("Allocated at FP8 peak, PFLOP-hours"), "measure"),
    ]


def _pflop_cells(fp8: Range) -> list[Cell]:
    return [_measure(fp8.lower), _measure(fp8.upper), _measure(fp8.allocated_peak)]


def _time_columns() -> list[Column]:
    return [
        Column(_("Allocated, GPU-seconds"), "gpu_seconds"),
        Column(_("Observed, GPU-seconds"), "gpu_seconds"),
        Column(_("Unobserved, GPU-seconds"), "gpu_seconds"),
        Column(_("Coverage, %"), "measure"),
    ]


def _time_cells(found: Throughput) -> list[Cell]:
    seconds = (found.allocated_gpu_seconds, found.observed_gpu_seconds, found.unobserved_gpu_seconds)
    return [*seconds, _percent(found.coverage)]


def _delivered(found: Telemetry) -> Table:
    types = found.report.by_type.values()
    return Table(
        id="delivered",
        title=_("What was delivered"),
        columns=[Column(_("GPU type"), "text"), *_time_columns(), *_pflop_columns()],
        rows=[[_type_name(one), *_time_cells(one), *_pflop_cells(Range.of(one.fp8))] for one in types],
        note=_("Declared is what jobs said of themselves; at most is what the tensor cores' cycles allow."),
    )


def _lost(found: Telemetry) -> Table:
    rows: list[list[Cell]] = []
    strong = set()
    for one in found.report.by_type.values():
        for step in steps_of(one):
            if step.name in ("allocated", "useful"):
                strong.add(len(rows))
            percent = None if step.percent is None else Decimal(f"{step.percent:.3f}")
            rows.append([_type_name(one), step.label, step.gpu_seconds, hours(step.gpu_seconds), percent])
        words = cause_words()
        rows += [
            [_type_name(one), _("unobserved: %(cause)s") % {"cause": words[cause]}, amount, hours(amount), None]
            for cause, amount in one.unobserved_by_cause.items()
            if amount
        ]
    return Table(
        id="losses",
        title=_("Where the GPU-time went"),
        columns=[
            Column(_("GPU type"), "text"),
            Column(_("Step"), "text"),
            Column(_("GPU-seconds"), "gpu_seconds"),
            Column(_("GPU-hours"), "gpu_hours"),
            Column(_("Of allocated, %"), "measure"),
        ],
        rows=rows,
        strong=frozenset(strong),
        note=_("Allocated = unobserved + all that follows, to the second."),
    )


def _energy_cells(one: Energy) -> list[Cell]:
    return [_measure(one.gpu_kwh), _measure(one.centre_kwh), _measure(one.co2_kg)]


def _energy_columns() -> list[Column]:
    return [
        Column(_("GPUs, measured, kWh"), "measure"),
        Column(_("With PUE, kWh"), "measure"),
        Column(_("CO₂, kg"), "measure"),
    ]


def _energy(found: Telemetry) -> Table:
    energy, types = found.energy, found.report.by_type
    rows: list[list[Cell]] = [
        [_type_name(types[gpu_type]), *_energy_cells(one), types[gpu_type].unobserved_gpu_seconds]
        for gpu_type, one in energy.by_type.items()
    ]
    unobserved = sum(one.unobserved_gpu_seconds for one in types.values())
    rows.append([_("Total"), *_energy_cells(energy.total), unobserved])
    notes = [_("Of the GPUs in the time that was observed; nothing is added for the rest.")]
    if energy.total.is_co2_of_gpus_alone:
        notes.append(_("Where no PUE is known, CO₂ is that of the GPUs alone."))
    return Table(
        id="energy",
        title=_("Energy and CO₂"),
        columns=[
            Column(_("GPU type"), "text"),
            *_energy_columns(),
            Column(_("Unobserved, GPU-seconds"), "gpu_seconds"),
        ],
        rows=rows,
        strong=frozenset({len(rows) - 1}),
        note=" ".join(notes),
    )


def _purposes(name: str, title: str, by: ByPurpose) -> Table:
    rows: list[list[Cell]] = []
    for key, by_type in by.items():
        sums = together(by_type.values())
        rows.append([purpose_word(name, key), *_pflop_cells(Range.of(sums.fp8)), ", ".join(sums.unknown).upper()])
    return Table(
        id=name,
        title=title,
        columns=[Column(title, "text"), *_pflop_columns(), Column(_("Without"), "text")],
        rows=rows,
        note=_("FLOPs of GPU types add up, hours do not. “Without”: types whose peak nobody has stated."),
    )


def _dated(days: Iterable[tuple[Cell, Throughput, Energy]], kind: str, title: str) -> Table:
    return Table(
        id="days",
        title=title,
        columns=[
            Column(_("Day") if kind == "day" else _("Month"), kind),
            Column(_("GPU type"), "text"),
            *_time_columns(),
            *_pflop_columns(),
            *_energy_columns(),
        ],
        rows=[
            [day, _type_name(one), *_time_cells(one), *_pflop_cells(Range.of(one.fp8)), *_energy_cells(energy)]
            for day, one, energy in days
        ],
    )


def _by_day(found: Telemetry) -> Table:
    energy = found.energy.by_day
    rows = (
        (day, one, energy[day][gpu_type])
        for day, by_type in sorted(found.report.by_day.items())
        for gpu_type, one in by_type.items()
    )
    return _dated(rows, "day", _("By day"))


def _by_month(found: Telemetry) -> Table:
    of: dict[tuple[date, str], list[tuple[Throughput, Energy]]] = {}
    for day, by_type in found.report.by_day.items():
        for gpu_type, one in by_type.items():
            of.setdefault((day.replace(day=1), gpu_type), []).append((one, found.energy.by_day[day][gpu_type]))
    rows = (
        (f"{month:%m/%Y}", Throughput.added([one for one, _energy in parts]), added([energy for _one, energy in parts]))
        for (month, _type), parts in sorted(of.items())
    )
    return _dated(rows, "text", _("By month"))


# --- the public figures -------------------------------------------------------------------------------------------


def public_document(quarter: Quarter, content: dict[str, Any]) -> Document:
    """Of a publication that has figures."""
    total = content["total"]
    least = {"count": content["least_organisations"]}
    return Document(
        number=str(quarter),
        title=_("National figures, %(quarter)s") % {"quarter": quarter_text(quarter)},
        facts=[
            (_("Number of organisations"), str(total["organisations"])),
            (_("Peak table"), content["peak_table_version"]),
            (_("Emulated"), _("yes") if total["emulated"] else _("no")),
            (_("Shown"), _("only what %(count)s organisations or more stand behind") % least),
        ],
        tables=[_public("total", _("In all"), [("", total)])]
        + [_public(name, part_titles()[name], part_rows(content, name)) for name in PARTS],
        kind=_("National figures"),
    )


def _public(name: str, title: str, rows: Sequence[tuple[str | None, Any]]) -> Table:
    cells: list[list[Cell]] = []
    for key, one in rows:
        fp8 = one["fp8_eflop_hours"]
        flops = [_measure(fp8[end] * PFLOP_HOURS) for end in ("lower", "upper", "allocated_peak")]
        energy, coverage = _measure(one["energy_kwh"]), _percent(one["coverage"])
        cells.append(
            [part_word(name, key), one["organisations"], one["allocated_gpu_seconds"], *flops, coverage, energy]
        )
    return Table(
        id=name,
        title=title,
        columns=[
            Column("" if name == "total" else title, "text"),
            Column(_("Number of organisations"), "count"),
            Column(_("Allocated, GPU-seconds"), "gpu_seconds"),
            *_pflop_columns(),
            Column(_("Coverage, %"), "measure"),
            Column(_("GPUs, measured, kWh"), "measure"),
        ],
        rows=cells,
    )


def part_titles() -> dict[str, str]:
    return {
        "gpu_type": _("By GPU type"),
        "sector": _("By sector"),
        "product_group": _("By product group"),
        "month": _("By month"),
    }


def part_word(name: str, key: str | None) -> str:
    if key is None:
        return _("The others together")
    if name == "gpu_type":
        return key.upper()
    if name == "month":
        return f"{key[5:]}/{key[:4]}"
    return purpose_word(name, key) if name in ("sector", "product_group") else key


def quarter_text(quarter: Quarter) -> str:
    return _("quarter %(number)d of %(year)d") % {"number": quarter.number, "year": quarter.year}
