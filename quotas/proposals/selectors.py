"""Proposals, as far as a person may see them, and what that person can do with one."""

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404

from portal.people.models import User
from portal.people.rules import Person, reads_everything
from quotas.proposals.models import Proposal

State = Proposal.State


def proposals_visible(person: Person) -> QuerySet[Proposal]:
    """All for operators, approvers and auditors; for others what they proposed themselves."""
    rows = Proposal.objects.select_related("organisation", "proposed_by", "sent_back_by")
    if reads_everything(person):
        return rows
    return rows.filter(proposed_by=person) if isinstance(person, User) else rows.none()


def proposal_get(person: Person, pk: object) -> Proposal:
    """Raises Http404 where the person may not see it."""
    return get_object_or_404(proposals_visible(person), pk=pk)


def proposal_queue(person: Person) -> QuerySet[Proposal]:
    """What waits for a second or third person, the oldest first. Raises Http404 for others than the centre's people."""
    if not reads_everything(person):
        raise Http404
    return proposals_visible(person).filter(state=State.WAITING).order_by("proposed_at", "id")
