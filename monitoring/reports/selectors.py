"""What an organisation was granted, holds, consumed and has left; by project, by person and by day.

Two things stand side by side, and a report says which is which:

- the *balance*: granted + overrun = consumed + held + remaining + expired, by GPU type, as the ledger has it now and
  since the organisation's first award. The range of days does not touch it. `remaining` includes what vouchers have
  not yet given to a project, and what is being withdrawn; `consumed` is net of refunds.
- the *usage* in a range of days: slurmdbd's finished records as they were charged, net of refunds, each split over
  the days it ran (calendar days of CENTRE_TIME_ZONE, both ends included). By cluster, by project, by person and by day
  add up to the same sum; over a range that covers everything that sum is `consumed`.

A running job is in `held`; its usage appears, on the days it ran, once Slurm has its end. Imported history is counted
in both and named apart. All amounts are GPU-seconds of the allocation's GPU type.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, Min, Q, QuerySet, Sum
from django.db.models.functions import Coalesce, TruncDate
from django.shortcuts import get_object_or_404

from monitoring.days import Days, gpu_seconds_by_day
from portal.clock import centre_zone, now
from portal.people.models import Organisation, UnixAccountUse
from portal.people.rules import Person, reads_everything
from portal.people.selectors import organisations_managed
from quotas.allocations.models import Refund
from quotas.allocations.statements import OrganisationBalance, organisation_balances
from scheduler.settlement.models import Cursor, Record

Amounts = Counter[str]  # GPU type: GPU-seconds

ENDED = Coalesce("ended_at", "submit_at")
BEGAN = Coalesce("started_at", "ended_at", "submit_at")


@dataclass(slots=True)
class Line:
    """Usage of one project, person or day. `imported` is the part of `amounts` that is imported history."""

    name: str = ""  # what a person reads: a project's title, a person's name; empty for a day
    amounts: Amounts = field(default_factory=Counter)
    imported: Amounts = field(default_factory=Counter)

    def add(self, gpu_type: str, gpu_seconds: int, imported: bool) -> None:
        self.amounts[gpu_type] += gpu_seconds
        if imported:
            self.imported[gpu_type] += gpu_seconds


@dataclass(frozen=True, kw_only=True)
class Usage:
    """One organisation's report. Clusters by name, projects by slug, people by unix account, most used first; days in
    order."""

    organisation: Organisation
    days: Days
    as_of: datetime
    records_until: datetime | None  # slurmdbd was read until then; None: never
    balances: Mapping[str, OrganisationBalance]  # by GPU type, for every type ever awarded
    imported_gpu_seconds: Amounts  # the part of `consumed` that is imported history
    total: Line  # of the days
    by_cluster: Mapping[str, Line]
    by_project: Mapping[str, Line]
    by_person: Mapping[str, Line]
    by_day: Mapping[date, Line]  # only days on which something ran

    @property
    def gpu_types(self) -> list[str]:
        """Those with usage in the days."""
        return sorted(gpu_type for gpu_type, amount in self.total.amounts.items() if amount)


def organisations_reported(person: Person) -> QuerySet[Organisation]:
    """Whose report the person may read: the managed ones; all for operators, approvers and auditors."""
    return Organisation.objects.all() if reads_everything(person) else organisations_managed(person)


def organisation_reported(person: Person, slug: str) -> Organisation:
    """Raises Http404 where the person may not read its report."""
    return get_object_or_404(organisations_reported(person), slug=slug)


def usage_report(organisation: Organisation, days: Days) -> Usage:
    """The organisation's balance now and its usage in the days, read at one moment in a fixed number of queries."""
    with _one_moment():
        records = Record.objects.filter(allocation__voucher__organisation=organisation)
        total, by_cluster, by_project, by_person, by_day = _usage(organisation, records, days)
        _people_name(by_person)
        clusters = records.filter(imported=False).order_by().values("cluster")
        return Usage(
            organisation=organisation,
            days=days,
            as_of=now(),
            records_until=Cursor.objects.filter(cluster__in=clusters).aggregate(first=Min("read_until"))["first"],
            balances=organisation_balances(organisation),
            imported_gpu_seconds=_imported(records),
            total=total,
            by_cluster=_most_first(by_cluster),
            by_project=_most_first(by_project),
            by_person=_most_first(by_person),
            by_day=dict(sorted(by_day.items())),
        )


@contextmanager
def _one_moment() -> Iterator[None]:
    """All queries inside see the same state, so that the figures of a report fit together."""
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _usage(
    organisation: Organisation, records: QuerySet[Record], days: Days
) -> tuple[Line, dict[str, Line], dict[str, Line], dict[str, Line], dict[date, Line]]:
    total = Line()
    by_cluster: dict[str, Line] = defaultdict(Line)
    by_project: dict[str, Line] = defaultdict(Line)
    by_person: dict[str, Line] = defaultdict(Line)
    by_day: dict[date, Line] = defaultdict(Line)
    for row, split in _charged(organisation, records, days):
        inside = {day: part for day, part in split.items() if day in days and part}
        if not inside:
            continue
        key = row["allocation__gpu_type"], sum(inside.values()), row["imported"]
        of_cluster, of_project = by_cluster[row["cluster__name"]], by_project[row["allocation__project__slug"]]
        of_cluster.name, of_project.name = row["cluster__title"], row["allocation__project__title"]
        for line in (total, of_cluster, of_project, by_person[row["user"]]):
            line.add(*key)
        for day, part in inside.items():
            by_day[day].add(row["allocation__gpu_type"], part, row["imported"])
    return total, by_cluster, by_project, by_person, by_day


def _charged(
    organisation: Organisation, records: QuerySet[Record], days: Days
) -> Iterator[tuple[dict[str, Any], dict[date, int]]]:
    """What ran in the days, net of refunds, and how it falls on days.

    A record that ran on one day and was never refunded is summed by the database; that is nearly all of them. Only the
    others are split here, one by one.
    """
    zone = centre_zone()
    refunded = _refunds(organisation)
    ran = _ran_in(records, days).values(
        *("user", "imported", "allocation__gpu_type", "allocation__project__slug", "allocation__project__title"),
        *("cluster__name", "cluster__title"),
    )
    is_whole = Q(first_day__gte=F("last_day")) & ~Q(charge__in=list(refunded))
    for row in ran.filter(is_whole).annotate(day=F("last_day"), amount=Sum("charged_gpu_seconds")):
        yield row, {row["day"]: row["amount"]}
    others = ran.filter(~is_whole).annotate(key=F("charge"), amount=F("charged_gpu_seconds"), began=BEGAN, ended=ENDED)
    for row in others.iterator(chunk_size=5_000):
        amount = row["amount"] - refunded.get(row["key"], 0)
        yield row, gpu_seconds_by_day(amount, row["began"], row["ended"], zone)


def _ran_in(records: QuerySet[Record], days: Days) -> QuerySet[Record]:
    """Records that ran in the days, or have no length and ended in them, with the days of the centre they touch."""
    zone = centre_zone()
    after = Q(ended_at__gte=days.begins_at(zone)) | Q(ended_at=None, submit_at__gte=days.begins_at(zone))
    before = Q(started_at__lt=days.ends_at(zone)) | Q(started_at=None, submit_at__lt=days.ends_at(zone))
    return (
        records.filter(after, before, charged_gpu_seconds__gt=0)
        .annotate(first_day=TruncDate(BEGAN, tzinfo=zone), last_day=TruncDate(ENDED, tzinfo=zone))
        .order_by()
    )


def _imported(records: QuerySet[Record]) -> Amounts:
    rows = records.filter(imported=True).order_by().values_list("allocation__gpu_type")
    return Counter(dict(rows.annotate(sum=Sum("charged_gpu_seconds"))))


def _refunds(organisation: Organisation) -> dict[UUID, int]:
    rows = Refund.objects.filter(allocation__voucher__organisation=organisation).order_by().values_list("charge")
    return dict(rows.annotate(sum=Sum("amount_gpu_seconds")))


def _people_name(by_person: dict[str, Line]) -> None:
    """Unix accounts are never reused, so one names the same person for ever.

    Except in imported history: who bore a name before the portal did is not known, and nobody is named for it.
    """
    own = [name for name, line in by_person.items() if line.amounts != line.imported]
    for use in UnixAccountUse.objects.filter(name__in=own).select_related("user"):
        by_person[use.name].name = str(use.user)


def _most_first(lines: dict[str, Line]) -> dict[str, Line]:
    return dict(sorted(lines.items(), key=lambda item: (-item[1].amounts.total(), item[0])))
