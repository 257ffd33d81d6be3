"""Issuing: a closed month becomes one numbered statement for each organisation that had anything in it."""

from django.db import transaction
from django.db.models import QuerySet

from portal.clock import centre_date, now
from portal.outbox.services import message_write
from portal.people.models import Organisation
from quotas.actors import Actor, actor_key
from quotas.allocations.models import Voucher
from quotas.statements.canonical import canonical, sha256_of
from quotas.statements.compiling import content_of, facts_of, figures_now
from quotas.statements.errors import AlreadyCorrected, NothingToCorrect
from quotas.statements.figures import Content, is_empty, summary_of
from quotas.statements.models import Period, Statement, Year
from quotas.statements.months import Month
from quotas.statements.services.closing import periods_close

ISSUE_ON_DAY = 2  # of the next month, at the centre: a day for records that Slurm's database brings late


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
    """Issues a closed period's statements, each in a transaction of its own; answers the new ones.

    One for every organisation that had something at its beginning or to which something happened. Again: what is
    missing, so that a stop in the middle costs nothing. Raises DoesNotAddUp.
    """
    due = organisations_due(period)
    Period.objects.filter(pk=period.pk).update(organisations=due.count())
    known = set(period.statements.filter(corrects__isnull=True).values_list("organisation_id", flat=True))
    issued = []
    for organisation in due.order_by("pk"):
        if organisation.pk not in known:
            figures = figures_now(organisation, period)
            if not is_empty(figures) and (statement := _issue(organisation, period, figures, actor)):
                issued.append(statement)
    Period.objects.filter(pk=period.pk, issued_at__isnull=True).update(issued_at=now())
    return issued


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
        figures = figures_now(old.organisation, old.period)
        facts = facts_of(old.organisation, old.period, figures)
        if _is_same(old, figures, facts):
            raise NothingToCorrect
        new = _issue(old.organisation, old.period, figures, actor, corrects=old, reason=reason)
        assert new is not None
    return new


def _is_same(old: Statement, figures: Content, facts: Content) -> bool:
    content = old.read()
    return all(content[key] == value for key, value in {**figures, "facts": facts}.items())


def _issue(
    organisation: Organisation,
    period: Period,
    figures: Content,
    actor: Actor,
    *,
    corrects: Statement | None = None,
    reason: str = "",
) -> Statement | None:
    """None where another process was quicker."""
    with transaction.atomic():
        year = _year_lock(period.month.year)
        if corrects is None and period.statements.filter(organisation=organisation, corrects__isnull=True).exists():
            return None
        year.last += 1
        year.save(update_fields=["last"])
        number, moment = f"SK-{period.month:%Y-%m}-{year.last:05d}", now()
        content = content_of(
            number=number,
            issued_at=moment.isoformat(),
            period=period,
            figures=figures,
            facts=facts_of(organisation, period, figures),
            corrects=corrects.number if corrects else "",
            reason=reason,
        )
        text = canonical(content)
        statement = Statement.objects.create(
            number=number,
            year=year.year,
            sequence=year.last,
            period=period,
            organisation=organisation,
            content=text,
            sha256=sha256_of(text),
            summary=summary_of(content),
            corrects=corrects,
            issued_at=moment,
            issued_by=actor_key(actor),
        )
        message_write(topic="statements.files", key=number, payload={"statement": statement.pk})
    return statement


def _year_lock(year: int) -> Year:
    """The year's row, locked: whoever numbers waits here for the one before."""
    Year.objects.get_or_create(year=year)
    return Year.objects.select_for_update().get(pk=year)
