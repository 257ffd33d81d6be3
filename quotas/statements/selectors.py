"""Reading statements. The permission is the fetch: an organisation's managers, and the centre's operators, approvers
and auditors."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Exists, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import Http404
from django.shortcuts import get_object_or_404

from portal.clock import centre_date, now
from portal.outbox.models import Message
from portal.people.models import Organisation
from portal.people.rules import Person, reads_everything
from portal.people.selectors import organisations_managed
from quotas.ledger.models import Transfer
from quotas.statements.models import Period, Statement, StatementFile
from quotas.statements.months import Month

FILES_EACH = 7  # JSON, and CSV, XLSX and PDF in two languages


def organisations_stated(person: Person) -> QuerySet[Organisation]:
    """Whose statements the person may read."""
    return Organisation.objects.all() if reads_everything(person) else organisations_managed(person)


def organisation_stated(person: Person, slug: str) -> Organisation:
    """Raises Http404 where the person may not read its statements."""
    return get_object_or_404(organisations_stated(person), slug=slug)


def statements_visible(person: Person) -> QuerySet[Statement]:
    rows = Statement.objects.select_related("organisation", "period", "corrects", "corrected_by", "verification")
    return rows if reads_everything(person) else rows.filter(organisation__in=organisations_managed(person))


def statement_list(organisation: Organisation) -> QuerySet[Statement]:
    """An organisation's statements, the newest first, without their contents; what replaced what stands beside it."""
    return (
        Statement.objects.filter(organisation=organisation)
        .select_related("period", "corrects", "corrected_by", "verification")
        .defer("content", "corrects__content", "corrected_by__content")
        .annotate(file_count=_number_of(StatementFile.objects.filter(statement=OuterRef("pk")), "statement"))
        .order_by("-period", "-sequence")
    )


def statement_get(person: Person, number: str) -> Statement:
    """Raises Http404 where the person may not read it."""
    return get_object_or_404(statements_visible(person), number=number)


def files_of(statement: Statement) -> QuerySet[StatementFile]:
    return statement.files.defer("content")


def file_get(person: Person, number: str, format: str, language: str) -> StatementFile:
    """Raises Http404."""
    return get_object_or_404(
        StatementFile.objects.select_related("statement"),
        statement__in=statements_visible(person).values("pk"),
        statement__number=number,
        format=format,
        language="" if format == StatementFile.Format.JSON else language,
    )


# --- the centre's overview ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MonthRow:
    month: Month
    period: Period | None  # None: still open
    statements: int
    differences: int

    @property
    def is_over(self) -> bool:
        return self.month.ends_at <= now()


def months(person: Person) -> list[Month]:
    """Every closed month and every open one from the first transfer until today's, the newest first. Raises Http404."""
    if not reads_everything(person):
        raise Http404
    found = [Month.of(month) for month in Period.objects.order_by("month").values_list("month", flat=True)]
    month, last = found[-1].next if found else _first_booked(), Month.of(centre_date(now()))
    while month is not None and month <= last:
        found.append(month)
        month = month.next
    return sorted(found, reverse=True)


def _first_booked() -> Month | None:
    first = Transfer.objects.order_by("booked_at").values_list("booked_at", flat=True).first()
    return Month.at(first) if first else None


def month_rows(months: Iterable[Month]) -> list[MonthRow]:
    """These months with what was issued in them, in one query."""
    issued = Statement.objects.filter(period=OuterRef("pk"))
    differing = issued.filter(verification__isnull=False, corrected_by__isnull=True).exclude(
        verification__differences=[]
    )
    shown = list(months)
    periods = {
        row.month: row
        for row in Period.objects.filter(month__in=[month.first for month in shown]).annotate(
            statement_count=_number_of(issued, "period"), difference_count=_number_of(differing, "period")
        )
    }
    return [
        MonthRow(month, row, row.statement_count, row.difference_count) if row else MonthRow(month, None, 0, 0)
        for month, row in ((month, periods.get(month.first)) for month in shown)
    ]


def _number_of(rows: QuerySet[Any], of: str) -> Coalesce:
    """How many of these rows belong to an outer query's row, by their field `of`: of a page only."""
    counted = rows.order_by().values(of).annotate(_number=Count("pk")).values("_number")
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)


@dataclass(frozen=True)
class Progress:
    """How far a month's issuing has come. `files` are complete sets."""

    organisations: int
    statements: int
    files: int
    is_issued: bool

    @property
    def is_done(self) -> bool:
        return self.is_issued and self.files == self.statements


def progress(period: Period) -> Progress:
    sets = period.statements.annotate(file_count=Count("files")).aggregate(
        statements=Count("pk"), files=Count("pk", filter=Q(file_count__gte=FILES_EACH))
    )
    return Progress(organisations=period.organisations, is_issued=period.issued_at is not None, **sets)


def is_asked(month: str) -> bool:
    """Whether the worker was asked to close and issue a month and has not done it yet."""
    return Message.objects.filter(topic="statements.issue", key=month, delivered_at__isnull=True).exists()


def period_get(person: Person, month: str) -> Period | None:
    """A month's period; None while it is open. Raises Http404 for a person who does not read everything, and for a
    text that is no month."""
    if not reads_everything(person):
        raise Http404
    try:
        first = Month.read(month).first
    except ValueError as error:
        raise Http404 from error
    return Period.objects.filter(month=first).first()


def period_statements(period: Period) -> QuerySet[Statement]:
    """A period's statements, those that a later one replaced left out."""
    later = Statement.objects.filter(corrects=OuterRef("pk"))
    return (
        period.statements.filter(~Exists(later))
        .select_related("organisation", "verification")
        .defer("content")
        .order_by("organisation__name", "pk")
    )


@dataclass(frozen=True)
class Totals:
    compute: dict[str, dict[str, int]]  # GPU type: figure: GPU-seconds
    money: dict[str, int]


def period_totals(period: Period) -> Totals:
    """Sums over the period's statements; one query that reads their totals, not their contents."""
    compute: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    money: dict[str, int] = defaultdict(int)
    for summary in period_statements(period).order_by().values_list("summary", flat=True):
        for gpu_type, row in summary["compute"].items():
            for name, amount in row.items():
                compute[gpu_type][name] += amount
        for name, amount in (summary["money"] or {}).items():
            money[name] += amount
    return Totals({gpu_type: dict(row) for gpu_type, row in sorted(compute.items())}, dict(money))
