"""Progress reports: an organisation shows what came of a tranche, an operator accepts it, which releases the next."""

from urllib.parse import urlsplit

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from portal.audit.context import acting
from portal.clock import now
from portal.people.models import User
from portal.people.rules import is_operator
from quotas.allocations.errors import Invalid, WrongState
from quotas.allocations.models import ProgressReport, Tranche
from quotas.allocations.services.tranches import tranche_lose, tranche_release
from quotas.allocations.services.voices import centre_decides, managers_tell
from quotas.texts import is_plain_text

State = ProgressReport.State


def report_submit(*, tranche_id: int, text: str, links: str, person: User) -> ProgressReport:
    """Brings a report for a pending tranche. Whether the person may do so is decided by who fetched the voucher.

    Raises WrongState (the tranche's), Invalid (also while another report waits).
    """
    check_text(text, field="text", most=8_000)
    links = "\n".join(link.strip() for link in links.splitlines() if link.strip())
    for link in links.splitlines():
        check_link(link, field="links")
    with transaction.atomic(), acting(person, "report_submit"):
        tranche = Tranche.objects.select_for_update().get(pk=tranche_id)
        if tranche.state != Tranche.State.PENDING or not tranche.needs_report:
            raise WrongState(tranche.get_state_display())
        try:
            with transaction.atomic():
                return ProgressReport.objects.create(
                    tranche=tranche, text=text.strip(), links=links, written_by=person, written_at=now()
                )
        except IntegrityError as error:
            raise Invalid(_("A report for this tranche waits for an operator already."), field="text") from error


def report_accept(*, report_id: int, answer: str, person: User) -> None:
    """Accepts a report and releases its tranche. Raises NotAllowed, ConflictOfInterest, WrongState, Invalid."""
    with transaction.atomic(), acting(person, "report_accept"):
        report = _decide(report_id, State.ACCEPTED, answer, person)
        tranche_release(tranche_id=report.tranche_id, actor=person)


def report_return(*, report_id: int, answer: str, person: User) -> None:
    """Gives a report back, with what is missing. Raises NotAllowed, ConflictOfInterest, WrongState, Invalid."""
    check_text(answer, field="answer", most=4_000)
    with transaction.atomic(), acting(person, "report_return"):
        _decide(report_id, State.RETURNED, answer, person)


def tranche_decide(*, tranche_id: int, is_released: bool, reason: str = "", person: User) -> None:
    """An operator releases a tranche without its day or report, or gives it back to the programme.

    Raises NotAllowed, ConflictOfInterest, WrongState.
    """
    with transaction.atomic():
        tranche = Tranche.objects.select_related("voucher__organisation").get(pk=tranche_id)
        centre_decides(person, tranche.voucher.organisation, is_operator)
        if is_released:
            tranche_release(tranche_id=tranche_id, actor=person)
        else:
            tranche_lose(tranche_id=tranche_id, reason=reason[:200], actor=person)


def _decide(report_id: int, state: str, answer: str, person: User) -> ProgressReport:
    report = (
        ProgressReport.objects.select_for_update(of=("self",))
        .select_related("tranche__voucher__organisation")
        .get(pk=report_id)
    )
    voucher = report.tranche.voucher
    centre_decides(person, voucher.organisation, is_operator)
    if report.state != State.WAITING:
        raise WrongState(report.get_state_display())
    report.state, report.answer = state, answer.strip()
    report.decided_by, report.decided_at = person, now()
    report.save(update_fields=["state", "answer", "decided_by", "decided_at"])
    managers_tell(voucher, "report_decided", key=f"report:{report.pk}", report=report.pk)
    return report


def check_text(text: str, *, field: str, most: int) -> None:
    """Raises Invalid unless it is some plain text of at most so many characters."""
    if not text.strip() or len(text) > most or not is_plain_text(text):
        raise Invalid(_("Write between 1 and %(most)d characters.") % {"most": most}, field=field)


def check_link(link: str, *, field: str) -> None:
    """Raises Invalid unless it is an http or https address."""
    parts = urlsplit(link)
    if parts.scheme not in ("http", "https") or not parts.hostname or len(link) > 400 or not is_plain_text(link):
        raise Invalid(_("Give each link as an address that begins with https:// or http://."), field=field)
