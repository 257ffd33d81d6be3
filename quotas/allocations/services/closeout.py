"""Close-out: the final report of an ended voucher, each commitment checked with evidence, the result public.

While one is open, the organisation gets no further award (`awards.award_check`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext as _

from portal.audit.context import acting
from portal.clock import centre_date, now
from portal.people.models import User
from portal.people.rules import is_operator
from quotas.allocations.errors import Invalid, WrongState
from quotas.allocations.models import CloseOut, Commitment, CommitmentCheck, Voucher
from quotas.allocations.services.progress import check_link, check_text
from quotas.allocations.services.voices import centre_decides, managers_tell

State = CloseOut.State
LINKS = ("model_link", "method_link", "data_link")


@dataclass(frozen=True)
class Found:
    """What an operator found about one commitment: met or not, and where that can be seen."""

    is_met: bool
    evidence: str


def close_outs_open() -> int:
    """Opens the close-out of every voucher that has ended; returns how many. Again: nothing."""
    today = centre_date(now())
    ended = Voucher.objects.filter(ends_on__lt=today, imported=False, close_out__isnull=True, changed_from__isnull=True)
    opened = 0
    for voucher in ended.select_related("organisation").order_by("pk"):
        with transaction.atomic(), acting("worker:default", "close_out_open"):
            _row, is_new = CloseOut.objects.get_or_create(voucher=voucher, defaults={"opened_at": now()})
            if is_new:
                managers_tell(voucher, "close_out_opened", key=f"close-out:{voucher.pk}:opened")
            opened += is_new
    return opened


def close_out_submit(
    *, close_out_id: int, title: str, summary: str, links: Mapping[str, str], person: User
) -> CloseOut:
    """The final report. Whether the person may bring it is decided by who fetched the voucher. Raises WrongState,
    Invalid."""
    check_text(title, field="title", most=200)
    check_text(summary, field="summary", most=8_000)
    given = {name: links.get(name, "").strip() for name in LINKS}
    for name, link in given.items():
        if link:
            check_link(link, field=name)
    with transaction.atomic(), acting(person, "close_out_submit"):
        row = CloseOut.objects.select_for_update().get(pk=close_out_id)
        if row.state != State.OPEN:
            raise WrongState(row.get_state_display())
        row.title, row.summary, row.returned_reason = title.strip(), summary.strip(), ""
        for name, link in given.items():
            setattr(row, name, link)
        row.state, row.submitted_by, row.submitted_at = State.SUBMITTED, person, now()
        row.save()
    return row


def close_out_return(*, close_out_id: int, reason: str, person: User) -> None:
    """Back to the organisation, with what is missing. Raises NotAllowed, ConflictOfInterest, WrongState, Invalid."""
    check_text(reason, field="reason", most=4_000)
    with transaction.atomic(), acting(person, "close_out_return"):
        row = _submitted(close_out_id, person)
        row.state, row.returned_reason = State.OPEN, reason.strip()
        row.save(update_fields=["state", "returned_reason"])
        managers_tell(row.voucher, "close_out_returned", key=f"close-out:{row.pk}:returned:{row.submitted_at}")


def close_out_close(*, close_out_id: int, found: Mapping[str, Found], person: User) -> None:
    """Closes it with what was found about each commitment, met or not: both are published.

    Raises NotAllowed, ConflictOfInterest, WrongState; Invalid where a commitment has no evidence.
    """
    with transaction.atomic(), acting(person, "close_out_close"):
        row = _submitted(close_out_id, person)
        for commitment in row.voucher.commitments:
            one = found.get(commitment)
            if one is None or not one.evidence.strip():
                label = Commitment(commitment).label
                raise Invalid(_("Give the evidence for “%(label)s”.") % {"label": label}, field=commitment)
            check_text(one.evidence, field=commitment, most=2_000)
            CommitmentCheck.objects.create(
                close_out=row,
                commitment=commitment,
                is_met=one.is_met,
                evidence=one.evidence.strip(),
                checked_by=person,
                checked_at=now(),
            )
        row.state, row.closed_by, row.closed_at = State.CLOSED, person, now()
        row.save(update_fields=["state", "closed_by", "closed_at"])
        managers_tell(row.voucher, "close_out_closed", key=f"close-out:{row.pk}:closed")


def _submitted(close_out_id: int, person: User) -> CloseOut:
    rows = CloseOut.objects.select_for_update(of=("self",)).select_related("voucher__organisation")
    row = rows.get(pk=close_out_id)
    centre_decides(person, row.voucher.organisation, is_operator)
    if row.state != State.SUBMITTED:
        raise WrongState(row.get_state_display())
    return row
