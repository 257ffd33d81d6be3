"""Proposing, approving, sending back; declaring an interest.

Whether a person may see a proposal is decided by the selector that fetched it. Who may take which part is decided here
and, where it matters, by the database once more.
"""

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from portal.audit.context import acting
from portal.clock import now
from portal.outbox.services import message_write
from portal.people.models import Organisation, User
from portal.people.rules import manages
from quotas.proposals import kinds
from quotas.proposals.errors import (
    CannotBeCarriedOut,
    ConflictOfInterest,
    Invalid,
    NotAllowed,
    WrongState,
    error_from,
)
from quotas.proposals.models import Approval, Conflict, Proposal
from quotas.proposals.rules import has_conflict, may_approve
from quotas.texts import is_plain_text

State = Proposal.State
REASON_LENGTH = 4_000


def proposal_make(
    *,
    kind: str,
    facts: Mapping[str, Any],
    reason: str,
    person: User | str,
    organisation: Organisation | None = None,
    approvals_needed: int = 1,
) -> Proposal:
    """Asks other people for a change. `person` is a user, or the name of a process where the kind is automatic.

    `facts` are JSON values, all that carrying out will need. Raises NotAllowed, ConflictOfInterest, Invalid.
    """
    its = kinds.get(kind)
    if isinstance(person, str):
        if not its.automatic:
            raise NotAllowed
    elif not its.may_propose(person):
        raise NotAllowed
    elif organisation is not None and has_conflict(person, organisation):
        raise ConflictOfInterest
    _check_reason(reason)
    with transaction.atomic(), acting(person, f"propose {kind}"):
        return Proposal.objects.create(
            kind=kind,
            facts=dict(facts),
            organisation=organisation,
            reason=reason.strip(),
            approvals_needed=approvals_needed,
            proposed_by=None if isinstance(person, str) else person,
            proposed_by_process=person if isinstance(person, str) else "",
            proposed_at=now(),
        )


def proposal_approve(*, proposal: Proposal, person: User) -> Proposal:
    """One other person's yes. The last one that is needed carries it out, in the same transaction.

    Raises NotAllowed, ConflictOfInterest, SamePerson (the database's word), WrongState, CannotBeCarriedOut.
    """
    its = kinds.kind_of(proposal)
    _check_decider(its, proposal, person)
    with transaction.atomic(), acting(person, f"approve {proposal.kind}"):
        locked = _lock_waiting(proposal)
        try:
            with transaction.atomic():
                Approval.objects.create(
                    proposal=locked, proposed_by_id=locked.proposed_by_id, approver=person, approved_at=now()
                )
                is_last = locked.approvals.count() >= locked.approvals_needed
                if is_last:
                    locked.state, locked.closed_at = State.CARRIED_OUT, now()
                    locked.save(update_fields=["state", "closed_at"])
        except IntegrityError as error:
            if known := error_from(error, locked.get_state_display()):
                raise known from error
            raise
        if is_last:
            try:
                its.carry_out(locked)
            except its.refusals as error:
                raise CannotBeCarriedOut(str(error)) from error
            _tell_proposer("proposals.carried_out", locked)
    return locked


def proposal_send_back(*, proposal: Proposal, person: User, reason: str) -> Proposal:
    """Closes a proposal without carrying it out. Whoever may approve it may do so, and its proposer: to stop something
    is not to decide it. Raises NotAllowed, ConflictOfInterest, Invalid, WrongState.
    """
    if person.pk != proposal.proposed_by_id:
        _check_decider(kinds.kind_of(proposal), proposal, person)
    _check_reason(reason)
    with transaction.atomic(), acting(person, f"send back {proposal.kind}"):
        locked = _lock_waiting(proposal)
        locked.state, locked.closed_at = State.SENT_BACK, now()
        locked.sent_back_by, locked.sent_back_reason = person, reason.strip()
        locked.save(update_fields=["state", "closed_at", "sent_back_by", "sent_back_reason"])
        kinds.kind_of(locked).sent_back(locked)
        if person.pk != locked.proposed_by_id:
            _tell_proposer("proposals.sent_back", locked)
    return locked


def proposal_lapse(*, proposal: Proposal, person: User, reason: str) -> Proposal:
    """Closes a proposal whose object is gone, in the transaction of the service that took it away, in the name of who
    did so: no right to decide it is asked for. Raises WrongState.
    """
    with transaction.atomic():
        locked = _lock_waiting(proposal)
        locked.state, locked.closed_at = State.SENT_BACK, now()
        locked.sent_back_by, locked.sent_back_reason = person, reason
        locked.save(update_fields=["state", "closed_at", "sent_back_by", "sent_back_reason"])
        kinds.kind_of(locked).sent_back(locked)
        _tell_proposer("proposals.sent_back", locked)
    return locked


def conflict_declare(*, person: User, organisation: Organisation, reason: str, declared_by: User) -> Conflict:
    """Records a person's interest in an organisation: from now on the person has no part in its matters.

    Declared by the person, by who decides at the centre, or by a manager of the organisation. A second time changes
    nothing. Raises NotAllowed, Invalid.
    """
    if person.pk != declared_by.pk and not may_approve(declared_by) and not manages(declared_by, organisation):
        raise NotAllowed
    reason = " ".join(reason.split())
    if not reason or len(reason) > 400 or not is_plain_text(reason):
        raise Invalid(_("Give the reason, in at most 400 characters."), field="reason")
    with transaction.atomic(), acting(declared_by, "conflict_declare"):
        return Conflict.objects.get_or_create(
            person=person,
            organisation=organisation,
            defaults={"declared_by": declared_by, "reason": reason, "declared_at": now()},
        )[0]


def conflict_lift(*, conflict: Conflict, actor: User) -> None:
    """Ends a declared interest that is over; the history keeps it. By who decides at the centre, never the person
    concerned. Raises NotAllowed.
    """
    if conflict.person_id == actor.pk or not may_approve(actor):
        raise NotAllowed
    with transaction.atomic(), acting(actor, "conflict_lift"):
        Conflict.objects.filter(pk=conflict.pk).delete()


def _check_decider(its: kinds.Kind, proposal: Proposal, person: User) -> None:
    if not its.may_approve(person):
        raise NotAllowed
    if proposal.organisation is not None and has_conflict(person, proposal.organisation):
        raise ConflictOfInterest


def _check_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > REASON_LENGTH or not is_plain_text(reason):
        raise Invalid(_("Give the reason, in at most 4,000 characters without control characters."), field="reason")


def _lock_waiting(proposal: Proposal) -> Proposal:
    """Of two who decide at once, the second waits here and sees what the first made of it."""
    locked = (
        Proposal.objects.select_for_update(of=("self",))
        .select_related("proposed_by", "organisation")
        .get(pk=proposal.pk)
    )
    if locked.state != State.WAITING:
        raise WrongState(locked.get_state_display())
    return locked


def _tell_proposer(topic: str, proposal: Proposal) -> None:
    if proposal.proposed_by_id is not None:
        message_write(topic=topic, key=str(proposal.pk), payload={"proposal": str(proposal.pk)})
