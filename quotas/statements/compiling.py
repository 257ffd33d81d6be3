"""From the ledger to a statement's content: its figures, and the facts that stood beside them on the day of issue."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from portal.people.models import Organisation, UnixAccountUse
from quotas.clusters import cluster_titles
from quotas.statements.books import (
    Accounts,
    Positions,
    accounts_of,
    booked_of,
    positions_from_log,
    positions_now,
)
from quotas.statements.figures import Content, figures_of
from quotas.statements.models import Period
from quotas.statements.months import Month

# Of the content; raised when its form changes, never for a statement that was issued. 2: what lies on which cluster.
SCHEMA = 2


@dataclass(frozen=True, slots=True)
class Compiled:
    organisation: Organisation
    accounts: Accounts
    figures: Content


def figures_now(organisations: Sequence[Organisation], period: Period) -> Iterator[Compiled]:
    """A closed period's figures, the quick way: balances from the accounts' totals. Six queries for any number of
    organisations, before the first is answered. Raises DoesNotAddUp at the one that does not.
    """
    accounts = accounts_of(organisations, before=period.ends_at)
    every = [pk for one in accounts.values() for pk in one.every]
    positions = positions_now(every, period.begins_at, period.ends_at)
    booked = booked_of(accounts, period.begins_at, period.ends_at)
    for organisation in organisations:
        own = accounts[organisation.pk]
        yield Compiled(organisation, own, figures_of(own, positions, booked[organisation.pk]))


def figures_from_log(organisation: Organisation, periods: Sequence[Period]) -> Iterator[tuple[Period, Content]]:
    """The figures of several periods, balances added up from the organisation's first transfer on."""
    if not periods:
        return
    whole = _accounts_of(organisation, max(period.ends_at for period in periods))
    boundaries = sorted({moment for period in periods for moment in (period.begins_at, period.ends_at)})
    known = dict(zip(boundaries, positions_from_log(whole.every, boundaries), strict=False))
    for period in periods:
        accounts = _accounts_of(organisation, period.ends_at)
        booked = booked_of({organisation.pk: accounts}, period.begins_at, period.ends_at)
        yield period, figures_of(accounts, _between(known, period), booked[organisation.pk])


def _accounts_of(organisation: Organisation, before: datetime) -> Accounts:
    return accounts_of([organisation], before=before)[organisation.pk]


def _between(known: dict[datetime, Positions], period: Period) -> Positions:
    """From the beginning of the first stretch in the period to the end of the last: periods may lie apart."""
    inside = [at for at in known if period.begins_at <= at < period.ends_at]
    first, last = known[min(inside)], known[max(inside)]
    return Positions(opening=first.opening, closing=last.closing, held=last.held)


def facts_of(compiled: Sequence[Compiled]) -> list[Content]:
    """Names and terms as they are now; they may change, and a statement keeps those of its day. Two queries."""
    people = {name for one in compiled for name in _people(one.figures)}
    uses = UnixAccountUse.objects.filter(name__in=people).select_related("user")
    names = {use.name: str(use.user) for use in uses}
    titles = cluster_titles()
    return [_facts(one, names, titles) for one in compiled]


def _people(figures: Content) -> set[str]:
    return {row["account"] for part in figures["compute"] for row in part["people"]}


def _facts(compiled: Compiled, names: Mapping[str, str], titles: Mapping[str, str]) -> Content:
    organisation, accounts, figures = compiled.organisation, compiled.accounts, compiled.figures
    projects = {row["project"] for part in figures["compute"] for row in part["places"]}
    vouchers = {row["number"] for row in figures["vouchers"]}
    clusters = {row["cluster"] for row in figures["clusters"] if row["cluster"]}
    return {
        "organisation": {
            "slug": organisation.slug,
            "name": organisation.name,
            "kind": organisation.kind,
            "tax_code": organisation.tax_code,
        },
        "projects": {slug: title for slug, title in accounts.titles.items() if slug in projects},
        "clusters": {name: titles.get(name, name) for name in clusters},
        "people": {name: names[name] for name in _people(figures) if name in names},
        "vouchers": _voucher_facts(accounts, vouchers),
    }


def _voucher_facts(accounts: Accounts, numbers: set[str]) -> Content:
    return {
        row.number: {
            "programme": row.programme.name,
            "starts_on": row.starts_on.isoformat(),
            "ends_on": row.ends_on.isoformat(),
            "face_gpu_seconds": row.face_gpu_seconds,
            "face_vnd": row.face_vnd,
        }
        for row in accounts.vouchers
        if row.number in numbers
    }


def known_to(content: Content, anew: Content) -> Content:
    """What of a content made today was part of one of an earlier schema: a statement is compared with that alone."""
    if content["schema"] >= 2:
        return anew
    known = {key: value for key, value in anew.items() if key != "clusters"}
    if "facts" in known:
        known["facts"] = {key: value for key, value in known["facts"].items() if key != "clusters"}
    return known


def content_of(
    *, number: str, issued_at: str, period: Period, figures: Content, facts: Content, corrects: str, reason: str
) -> Content:
    """The whole document. `corrects` and `reason` are empty but for a correction."""
    return {
        "schema": SCHEMA,
        "number": number,
        "issued_at": issued_at,
        "corrects": corrects,
        "correction_reason": reason,
        "period": {
            "month": str(Month.of(period.month)),
            "begins_at": period.begins_at.isoformat(),
            "ends_at": period.ends_at.isoformat(),
            "time_zone": settings.CENTRE_TIME_ZONE,
        },
        "facts": facts,
        **figures,
    }
