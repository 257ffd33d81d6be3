"""A statement as a document: titled tables in the active language. Every format shows these rows and no others.

A cell is a text, a day, a number of GPU-seconds, GPU-hours or VND, or a plain count; its column says which, so each
format writes numbers as numbers in its own way.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from itertools import groupby

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from portal.clock import centre_date
from portal.people.models import Organisation
from quotas.statements.figures import MOVEMENTS, Content
from quotas.units import SECONDS_PER_HOUR

Cell = str | int | date | Decimal | None
CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Column:
    label: str
    kind: str  # text, day, gpu_seconds, gpu_hours, vnd, count, measure (with three places)


@dataclass(frozen=True)
class Table:
    """`strong`: the numbers of rows that are balances or sums."""

    id: str
    title: str
    columns: Sequence[Column]
    rows: list[list[Cell]]
    gpu_type: str = ""
    strong: frozenset[int] = frozenset()
    note: str = ""

    @property
    def marked_rows(self) -> list[tuple[list[tuple[Column, Cell]], bool]]:
        """For templates: each row's cells with their columns, and whether it is strong."""
        return [
            (list(zip(self.columns, row, strict=True)), number in self.strong) for number, row in enumerate(self.rows)
        ]


@dataclass(frozen=True)
class Document:
    number: str
    title: str
    facts: list[tuple[str, str]]  # label and text, for the head
    tables: list[Table] = field(default_factory=list)
    annex: list[Table] = field(default_factory=list)
    kind: str = ""  # what it is, in a word, where it is no statement

    @property
    def every_table(self) -> list[Table]:
        return [*self.tables, *self.annex]


def document_of(content: Content, sha256: str) -> Document:
    """In the active language."""
    facts, period = content["facts"], content["period"]
    organisation = facts["organisation"]
    month = month_text(period["month"])
    head = [
        (_("Organisation"), organisation["name"]),
        (_("Kind"), str(Organisation.Kind(organisation["kind"]).label)),
        (_("Tax code"), organisation["tax_code"]),
        (
            pgettext("of a statement", "Period"),
            _("%(month)s, days of %(zone)s") % {"month": month, "zone": period["time_zone"]},
        ),
        (_("Issued"), f"{centre_date(datetime.fromisoformat(content['issued_at'])):%d/%m/%Y}"),
        (pgettext("where a statement's figures are", "Cluster"), _only_cluster(facts)),
        (_("Corrects"), content["corrects"]),
        (_("Reason of the correction"), content["correction_reason"]),
        ("SHA-256", sha256),
    ]
    tables: list[Table] = []
    for part in content["compute"]:
        tables += [_summary(part), _projects(part, facts)]
        if len(facts.get("clusters", ())) > 1:
            rows = [row for row in content["clusters"] if row["gpu_type"] == part["gpu_type"]]
            tables.append(_clusters(part["gpu_type"], rows, facts))
    if content["money"]:
        tables += [_money(content["money"]), _money_by_voucher(content)]
    if content["vouchers"]:
        tables.append(_vouchers(content))
    tables += [_lines(part, facts) for part in content["compute"] if part["lines"]]
    return Document(
        number=content["number"],
        title=_("Statement for %(month)s") % {"month": month},
        facts=[(label, text) for label, text in head if text],
        tables=tables,
        annex=[_people(part, facts) for part in content["compute"] if part["people"]],
    )


def month_text(month: str) -> str:
    return _("%(month)s/%(year)s") % {"month": month[5:], "year": month[:4]}


def movement_labels() -> dict[str, str]:
    return {
        "awarded": pgettext("movement on a statement", "Awarded"),
        "released": _("Tranches released"),
        "moved": _("Given to projects, moved"),
        "charged": _("Charged for jobs"),
        "refunded": _("Refunded"),
        "corrected": _("Corrected"),
        "overrun": _("Overrun, borne by the centre"),
        "expired": _("Expired"),
        "clawed_back": _("Clawed back"),
        "returned": _("Returned to the programme"),
        "other": _("Other"),
    }


def hours(gpu_seconds: int) -> Decimal:
    """GPU-hours for reading, to two places; GPU-seconds are what counts."""
    return (Decimal(gpu_seconds) / SECONDS_PER_HOUR).quantize(CENT, rounding=ROUND_HALF_UP)


# --- compute --------------------------------------------------------------------------------------------------------


def _both(gpu_seconds: int) -> list[Cell]:
    return [gpu_seconds, hours(gpu_seconds)]


def _summary(part: Content) -> Table:
    total, labels = part["total"], movement_labels()
    rows: list[list[Cell]] = [[_("Opening balance"), *_both(total["opening"])]]
    rows += [[labels[name], *_both(total[name])] for name in MOVEMENTS if total[name]]
    rows.append([_("Closing balance"), *_both(total["closing"])])
    strong = frozenset({0, len(rows) - 1})
    rows.append([_("of it reserved at the end of the month"), *_both(part["held_at_end"])])
    return Table(
        id=f"summary-{part['gpu_type']}",
        title=_("%(type)s in short") % {"type": part["gpu_type"].upper()},
        columns=[Column("", "text"), Column(_("GPU-seconds"), "gpu_seconds"), Column(_("GPU-hours"), "gpu_hours")],
        rows=rows,
        gpu_type=part["gpu_type"],
        strong=strong,
        note=_("Opening balance + all that follows = closing balance. What is taken away has a minus."),
    )


_GROUPS: tuple[tuple[Callable[[], str], tuple[str, ...]], ...] = (
    (lambda: _("Opening"), ("opening",)),
    (lambda: _("Awarded, released, moved"), ("awarded", "released", "moved", "other")),
    (lambda: _("Charged"), ("charged",)),
    (lambda: _("Refunded, corrected"), ("refunded", "corrected")),
    (lambda: _("Overrun"), ("overrun",)),
    (lambda: _("Expired, clawed back, returned"), ("expired", "clawed_back", "returned")),
    (lambda: _("Closing"), ("closing",)),
)


def _group_columns() -> list[Column]:
    return [Column(label(), "gpu_seconds") for label, _names in _GROUPS]


def _grouped(rows: Sequence[Content]) -> list[Cell]:
    """The sums of rows, a number for each of these columns."""
    return [sum(row[name] for row in rows for name in names) for _label, names in _GROUPS]


def _projects(part: Content, facts: Content) -> Table:
    rows: list[list[Cell]] = [[_place(row["project"], facts), *_grouped([row])] for row in part["places"]]
    rows.append([_("Total"), *_grouped([part["total"]])])
    return Table(
        id=f"projects-{part['gpu_type']}",
        title=_("%(type)s by project") % {"type": part["gpu_type"].upper()},
        columns=[Column(_("Project"), "text"), *_group_columns()],
        rows=rows,
        gpu_type=part["gpu_type"],
        strong=frozenset({len(rows) - 1}),
        note=_("GPU-seconds. 3,600 of them are a GPU-hour."),
    )


def _only_cluster(facts: Content) -> str:
    """Where there are several, a table says what lies where. A statement of schema 1 knows none."""
    titles = list(facts.get("clusters", {}).values())
    return titles[0] if len(titles) == 1 else ""


def _clusters(gpu_type: str, found: Sequence[Content], facts: Content) -> Table:
    """Each cluster's sum, below it its projects where it has several; first what lies on none."""
    rows: list[list[Cell]] = []
    strong = set()
    for cluster, group in groupby(found, key=lambda row: row["cluster"]):
        of_cluster = list(group)
        title = facts["clusters"][cluster] if cluster else _("on no cluster")
        strong.add(len(rows))
        is_several = len(of_cluster) > 1
        of = "" if is_several or not cluster else _place(of_cluster[0]["project"], facts)
        rows.append([title, of, *_grouped(of_cluster)])
        if is_several:
            rows += [[title, _place(row["project"], facts), *_grouped([row])] for row in of_cluster]
    return Table(
        id=f"clusters-{gpu_type}",
        title=_("%(type)s by cluster") % {"type": gpu_type.upper()},
        columns=[Column(_("Cluster"), "text"), Column(_("Project"), "text"), *_group_columns()],
        rows=rows,
        gpu_type=gpu_type,
        strong=frozenset(strong),
        note=_(
            "GPU-seconds. “On no cluster”: not yet given to a project, or on their way from one cluster to another."
        ),
    )


def _place(slug: str | None, facts: Content) -> str:
    return _("not yet given to a project") if slug is None else facts["projects"].get(slug, slug)


def _lines(part: Content, facts: Content) -> Table:
    labels = movement_labels()
    return Table(
        id=f"lines-{part['gpu_type']}",
        title=_("%(type)s: what was booked, by the day it happened") % {"type": part["gpu_type"].upper()},
        columns=[
            Column(_("Day of the event"), "day"),
            Column(_("What"), "text"),
            Column(_("Project"), "text"),
            Column(_("Reason"), "text"),
            Column(_("Entries"), "count"),
            Column(_("GPU-seconds"), "gpu_seconds"),
        ],
        rows=[
            [
                date.fromisoformat(line["event_on"]),
                labels[line["kind"]],
                _place(line["project"], facts),
                line["reason"],
                line["count"],
                line["gpu_seconds"],
            ]
            for line in part["lines"]
        ],
        gpu_type=part["gpu_type"],
        note=_("A day before this month: the record came late. It is booked whole in the month that learned of it."),
    )


def _people(part: Content, facts: Content) -> Table:
    rows: list[list[Cell]] = [
        [
            _place(row["project"], facts),
            row["account"] or _("no record names anybody"),
            facts["people"].get(row["account"], ""),
            *_both(row["gpu_seconds"]),
        ]
        for row in part["people"]
    ]
    total = sum(row["gpu_seconds"] for row in part["people"])
    rows.append([_("Total"), "", "", *_both(total)])
    return Table(
        id=f"people-{part['gpu_type']}",
        title=_("Annex: %(type)s by person") % {"type": part["gpu_type"].upper()},
        columns=[
            Column(_("Project"), "text"),
            Column(_("Unix account"), "text"),
            Column(_("Name"), "text"),
            Column(_("GPU-seconds"), "gpu_seconds"),
            Column(_("GPU-hours"), "gpu_hours"),
        ],
        rows=rows,
        gpu_type=part["gpu_type"],
        strong=frozenset({len(rows) - 1}),
        note=_("Charged, less what was refunded and corrected."),
    )


# --- vouchers and money ---------------------------------------------------------------------------------------------


def _vouchers(content: Content) -> Table:
    facts = content["facts"]["vouchers"]
    return Table(
        id="vouchers",
        title=_("Vouchers"),
        columns=[
            Column(_("Voucher"), "text"),
            Column(_("Programme"), "text"),
            Column(_("GPU type"), "text"),
            Column(_("Open until"), "day"),
            Column(_("Opening"), "gpu_seconds"),
            Column(_("Used this month"), "gpu_seconds"),
            Column(_("Used in all"), "gpu_seconds"),
            Column(_("Closing"), "gpu_seconds"),
        ],
        rows=[
            [
                row["number"],
                facts[row["number"]]["programme"],
                row["gpu_type"].upper(),
                date.fromisoformat(facts[row["number"]]["ends_on"]),
                row["opening"],
                row["used"],
                row["used_before"] + row["used"],
                row["closing"],
            ]
            for row in content["vouchers"]
        ],
        note=_("GPU-seconds. “Used” leaves out the overrun that the centre bears."),
    )


def _money(money: Content) -> Table:
    labels = {
        "released_state": _("Released: state share"),
        "released_own": _("Released: own share"),
        "returned_state": _("Returned: state share"),
        "returned_own": _("Returned: own share"),
        "earned": _("Earned by the centre"),
        "other": _("Other"),
    }
    rows: list[list[Cell]] = [[_("Opening balance"), money["opening"]]]
    rows += [[label, money[name]] for name, label in labels.items() if money[name]]
    rows.append([_("Closing balance"), money["closing"]])
    strong = {0, len(rows) - 1}
    rows += [
        [_("Earned this month: state share"), money["earned_state"]],
        [_("Earned this month: own share"), money["earned_own"]],
        [_("Earned in all"), money["earned_to_date"]],
    ]
    return Table(
        id="money",
        title=_("Money"),
        columns=[Column("", "text"), Column("VND", "vnd")],
        rows=rows,
        strong=frozenset(strong),
        note=_("This statement is the claim; payment and invoices lie outside of it."),
    )


def _money_by_voucher(content: Content) -> Table:
    rows: list[list[Cell]] = [
        [
            row["number"],
            row["money"]["tariff_vnd_per_gpu_hour"],
            row["money"]["opening"],
            -row["money"]["earned"],
            row["money"]["earned_state"],
            row["money"]["earned_own"],
            row["money"]["closing"],
        ]
        for row in content["vouchers"]
        if row["money"]
    ]
    return Table(
        id="money-vouchers",
        title=_("Money by voucher"),
        columns=[
            Column(_("Voucher"), "text"),
            Column(_("VND per GPU-hour"), "vnd"),
            Column(_("Opening"), "vnd"),
            Column(_("Earned"), "vnd"),
            Column(_("State share"), "vnd"),
            Column(_("Own share"), "vnd"),
            Column(_("Closing"), "vnd"),
        ],
        rows=rows,
    )


def flat_rows(document: Document) -> Iterable[list[Cell]]:
    """Every number on a line of its own, for CSV: table, GPU type, the row's texts and days, what, number, unit."""
    yield [_("Table"), _("GPU type"), _("Row"), _("Figure"), _("Value"), _("Unit")]
    units = {"gpu_seconds": "GPU-s", "gpu_hours": "GPU-h", "vnd": "VND", "count": "", "measure": ""}
    for table in document.every_table:
        for row in table.rows:
            name = " · ".join(
                str(cell) for column, cell in zip(table.columns, row, strict=True) if column.kind not in units and cell
            )
            for column, cell in zip(table.columns, row, strict=True):
                if column.kind in units:
                    yield [table.title, table.gpu_type, name, column.label, cell, units[column.kind]]
