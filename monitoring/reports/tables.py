"""A report as tables: the same rows on the page and in the spreadsheet."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from django.core.paginator import Page, Paginator
from django.http import QueryDict
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from monitoring.reports.selectors import Amounts, Line, Usage
from quotas.allocations.statements import OrganisationBalance

SECONDS_AN_HOUR = 3_600
ROWS_A_PAGE = 31  # a month


@dataclass(frozen=True, slots=True)
class Row:
    key: str | date  # a cluster's name, a project's slug, a unix account, a day
    name: str
    cells: list[int]  # GPU-seconds in the order of the table's GPU types
    imported: int  # of all of them
    wholly_imported: bool


@dataclass(frozen=True)
class Table:
    """Usage by one thing. `total` adds up all rows, not only those of this page."""

    id: str
    title: str
    gpu_types: Sequence[str]
    rows: Sequence[Row]
    total: list[int]
    page: Page
    previous: str  # query strings; empty where there is none
    next: str


def usage_tables(usage: Usage, query: QueryDict) -> list[Table]:
    """By day (newest last, under the chart), cluster where there are several, project and person. `query` says which
    page of each is wanted."""
    parts: list[tuple[str, str, Iterable[tuple[str | date, Line]]]] = [
        ("day", _("By day"), usage.by_day.items()),
        ("project", _("By project"), usage.by_project.items()),
        ("person", _("By person"), usage.by_person.items()),
    ]
    if len(usage.by_cluster) > 1:
        parts.insert(1, ("cluster", _("By cluster"), usage.by_cluster.items()))
    return [_table(id, title, usage, list(lines), query) for id, title, lines in parts]


def _table(id: str, title: str, usage: Usage, lines: list[tuple[str | date, Line]], query: QueryDict) -> Table:
    rows = [
        Row(
            key,
            line.name,
            _cells(line.amounts, usage.gpu_types),
            line.imported.total(),
            line.imported.total() == line.amounts.total(),
        )
        for key, line in lines
    ]
    name = f"{id}_page"
    page = Paginator(rows, ROWS_A_PAGE).get_page(query.get(name))
    return Table(
        id=id,
        title=title,
        gpu_types=usage.gpu_types,
        rows=rows,
        total=_cells(usage.total.amounts, usage.gpu_types),
        page=page,
        previous=_query(query, name, page.previous_page_number()) if page.has_previous() else "",
        next=_query(query, name, page.next_page_number()) if page.has_next() else "",
    )


def _cells(amounts: Amounts, gpu_types: Sequence[str]) -> list[int]:
    return [amounts[gpu_type] for gpu_type in gpu_types]


def _query(query: QueryDict, name: str, number: int) -> str:
    changed = query.copy()
    changed[name] = str(number)
    return f"?{changed.urlencode()}"


# --- the spreadsheet ----------------------------------------------------------------------------------------------


def balance_figures(balance: OrganisationBalance) -> list[tuple[str, str, int]]:
    """Name, label and GPU-seconds of the six: granted + overrun = consumed + held + remaining + expired."""
    return [
        ("granted", _("Granted"), balance.granted),
        ("overrun", _("Overrun"), balance.overrun),
        ("consumed", _("Consumed"), balance.consumed),
        ("held", _("Held"), balance.held),
        ("remaining", _("Remaining"), balance.remaining),
        ("expired", _("Expired"), balance.expired),
    ]


def spreadsheet_rows(usage: Usage, tables: Iterable[Table]) -> list[Sequence[object]]:
    """One number a line, every page of every table. GPU-seconds are exact, GPU-hours are for reading."""
    header = [
        _("Table"), _("Item"), _("Name"), _("GPU type"), _("GPU-seconds"), _("GPU-hours"), _("First day"),
        _("Last day"),
    ]  # fmt: skip
    now_is = date_format(usage.as_of, "SHORT_DATETIME_FORMAT")
    rows: list[Sequence[object]] = [header]
    for gpu_type, balance in usage.balances.items():
        title = _("Balance at %(time)s") % {"time": now_is}
        rows += [
            (title, label, "", gpu_type, *_both(amount), "", "") for _name, label, amount in balance_figures(balance)
        ]
    for table in tables:
        for row in table.rows:
            for gpu_type, amount in zip(table.gpu_types, row.cells, strict=True):
                rows.append(
                    (table.title, str(row.key), row.name, gpu_type, *_both(amount), usage.days.first, usage.days.last)
                )
    return rows


def _both(gpu_seconds: int) -> tuple[int, float]:
    return gpu_seconds, round(gpu_seconds / SECONDS_AN_HOUR, 4)
