"""Issuing: a closed month becomes one numbered statement for each organisation that had anything in it."""

from collections.abc import Sequence

from django.db import transaction
from django.db.models import QuerySet

from portal.clock import centre_date, now
from portal.outbox.services import messages_write
from portal.people.models import Organisation
from quotas.actors import Actor, actor_key
from quotas.allocations.models import Voucher
from quotas.statements.canonical import canonical, sha256_of
from quotas.statements.compiling import Compiled, content_of, facts_of, figures_now, known_to
from quotas.statements.errors import AlreadyCorrected, NothingToCorrect
from quotas.statements.figures import Content, is_empty, summary_of
from quotas.statements.models import Period, Statement, Year
from quotas.statements.months import Month
from quotas.statements.services.closing import periods_close

ISSUE_ON_DAY = 2  # of the next month, at the centre: a day for records that Slurm's database brings late
ORGANISATIONS_AT_ONCE = 100  # the year's numbers are locked for no longer than these take


def last_month_issue(*, actor: Actor) -> list[Statement]:
    """From the second day of a month on: closes what is open before it and issues what is not issued yet. Again: no
    more. For beat, which asks every few minutes."""
    today = centre_date(now())
    if today.day < ISSUE_ON_DAY:
        return []
    periods_close(month=Month.of(today).previous, actor=actor)
    issued: list[Statement] = []
    for period in Period.objects.filter(issued_at__isnull=True).order_by("month"):
        issued += statements_issue(period=period, actor=actor)
    return issued


def statements_issue(*, period: Period, actor: Actor) -> list[Statement]:
    """Issues a closed period's statements, a hundred organisations in a transaction; answers the new ones.

    One for every organisation that had something at its beginning or to which something happened. Again: what is
    missing, so that a stop in the middle costs nothing. Raises DoesNotAddUp; what comes before that one is issued.
    """
    due = organisations_due(period)
    Period.objects.filter(pk=period.pk).update(organisations=due.count())
    missing = list(due.exclude(pk__in=_issued(period).values("organisation")).order_by("pk"))
    issued = []
    for first in range(0, len(missing), ORGANISATIONS_AT_ONCE):
        ready: list[Compiled] = []
        try:
            for one in figures_now(missing[first : first + ORGANISATIONS_AT_ONCE], period):
                if not is_empty(one.figures):
                    ready.append(one)
        finally:
            issued += _issue(period, ready, actor)
    Period.objects.filter(pk=period.pk, issued_at__isnull=True).update(issued_at=now())
    return issued


def _issued(period: Period) -> QuerySet[Statement]:
    return period.statements.filter(corrects__isnull=True)


def organisations_due(period: Period) -> QuerySet[Organisation]:
    """Those that were ever awarded anything before the period's end; imported history is no award."""
    awarded = Voucher.objects.filter(imported=False, created_at__lt=period.ends_at)
    return Organisation.objects.filter(pk__in=awarded.values("organisation"))


def statement_correct(*, statement_id: int, reason: str, actor: Actor) -> Statement:
    """Issues the statement anew, under the next number of its year, naming the one that it corrects.

    Only where that one differs from the ledger, or from the names of today. Raises AlreadyCorrected, NothingToCorrect,
    DoesNotAddUp.
    """
    with transaction.atomic():
        old = Statement.objects.select_related("organisation", "period").get(pk=statement_id)
        later = Statement.objects.filter(corrects=old).first()
        if later is not None:
            raise AlreadyCorrected(later.number)
        [compiled] = figures_now([old.organisation], old.period)
        [facts] = facts_of([compiled])
        if _is_same(old, compiled.figures, facts):
            raise NothingToCorrect
        [new] = _issue(old.period, [compiled], actor, corrects=old, reason=reason)
    return new


def _is_same(old: Statement, figures: Content, facts: Content) -> bool:
    content = old.read()
    anew = known_to(content, {**figures, "facts": facts})
    return all(content[key] == value for key, value in anew.items())


def _issue(
    period: Period, compiled: Sequence[Compiled], actor: Actor, *, corrects: Statement | None = None, reason: str = ""
) -> list[Statement]:
    """Numbers and stores statements, and asks for their files; leaves out those where another process was quicker."""
    if not compiled:
        return []
    with transaction.atomic():
        year = _year_lock(period.month.year)
        if corrects is None:
            known = set(_issued(period).values_list("organisation_id", flat=True))
            compiled = [one for one in compiled if one.organisation.pk not in known]
        statements = []
        for one, facts in zip(compiled, facts_of(compiled), strict=True):
            year.last += 1
            statements.append(_statement(period, one, facts, year, actor_key(actor), corrects, reason))
        year.save(update_fields=["last"])
        Statement.objects.bulk_create(statements)
        asked: dict[str, dict[str, object]] = {one.number: {"statement": one.pk} for one in statements}
        messages_write(topic="statements.files", payloads=asked)
    return statements


def _statement(
    period: Period, compiled: Compiled, facts: Content, year: Year, actor: str, corrects: Statement | None, reason: str
) -> Statement:
    number, moment = f"SK-{period.month:%Y-%m}-{year.last:05d}", now()
    content = content_of(
        number=number,
        issued_at=moment.isoformat(),
        period=period,
        figures=compiled.figures,
        facts=facts,
        corrects=corrects.number if corrects else "",
        reason=reason,
    )
    text = canonical(content)
    return Statement(
        number=number,
        year=year.year,
        sequence=year.last,
        period=period,
        organisation=compiled.organisation,
        content=text,
        sha256=sha256_of(text),
        summary=summary_of(content),
        corrects=corrects,
        issued_at=moment,
        issued_by=actor,
    )


def _year_lock(year: int) -> Year:
    """The year's row, locked: whoever numbers waits here for the one before."""
    Year.objects.get_or_create(year=year)
    return Year.objects.select_for_update().get(pk=year)
