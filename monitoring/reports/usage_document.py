"""The usage report as a document, for XLSX and PDF: the page's tables, every page of them."""

from collections.abc import Iterable
from datetime import date

from django.conf import settings
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from monitoring.reports import tables as shown
from monitoring.reports.selectors import Usage
from quotas.statements.renderers.document import Cell, Column, Document, Table, hours


def usage_document(usage: Usage, tables: Iterable[shown.Table]) -> Document:
    """In the active language."""
    days = f"{usage.days.first:%d/%m/%Y} – {usage.days.last:%d/%m/%Y}"
    return Document(
        number=f"{usage.days.first} – {usage.days.last}",
        title=_("Report of %(organisation)s") % {"organisation": usage.organisation},
        facts=[
            (_("Days"), _("%(days)s, of %(zone)s") % {"days": days, "zone": settings.CENTRE_TIME_ZONE}),
            (_("Sources"), _("ledger and slurmdbd's records")),
            (_("As of"), date_format(usage.as_of, "SHORT_DATETIME_FORMAT")),
        ],
        tables=[_balance(usage), *map(_used, tables)],
        kind=_("Usage"),
    )


def _balance(usage: Usage) -> Table:
    rows: list[list[Cell]] = [
        [gpu_type.upper(), label, amount, hours(amount)]
        for gpu_type, balance in usage.balances.items()
        for _name, label, amount in shown.balance_figures(balance)
    ]
    return Table(
        id="balance",
        title=_("Balance now"),
        columns=[
            Column(_("GPU type"), "text"),
            Column("", "text"),
            Column(_("GPU-seconds"), "gpu_seconds"),
            Column(_("GPU-hours"), "gpu_hours"),
        ],
        rows=rows,
        note=_("Granted + overrun = consumed + held + remaining + expired."),
    )


def _used(table: shown.Table) -> Table:
    rows: list[list[Cell]] = [[_key(row), *row.cells] for row in table.rows]
    rows.append([_("Total"), *table.total])
    seconds = _("GPU-seconds")
    return Table(
        id=table.id,
        title=table.title,
        columns=[
            Column("", "text"),
            *(Column(f"{name.upper()}, {seconds}", "gpu_seconds") for name in table.gpu_types),
        ],
        rows=rows,
        strong=frozenset({len(rows) - 1}),
        note=_("GPU-seconds. 3,600 of them are a GPU-hour."),
    )


def _key(row: shown.Row) -> str:
    if isinstance(row.key, date):
        return f"{row.key:%d/%m/%Y}"
    return f"{row.name} ({row.key})" if row.name else row.key
