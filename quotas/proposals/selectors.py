"""Proposals, as far as a person may see them, and what that person can do with one."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404

from portal.people.models import User
from portal.people.rules import Person, centre_roles, reads_everything
from quotas.proposals.kinds import Kind, kind_of
from quotas.proposals.models import Conflict, Proposal
from quotas.proposals.rules import has_conflict, may_approve, organisations_in_conflict

State = Proposal.State
Rule = Callable[[Person], bool]


def proposals_visible(person: Person) -> QuerySet[Proposal]:
    """All for operators, approvers and auditors; for others what they proposed themselves."""
    rows = Proposal.objects.select_related("organisation", "proposed_by", "sent_back_by")
    if reads_everything(person):
        return rows
    return rows.filter(proposed_by=person) if isinstance(person, User) else rows.none()


def proposal_get(person: Person, pk: object) -> Proposal:
    """Raises Http404 where the person may not see it."""
    return get_object_or_404(proposals_visible(person), pk=pk)


def proposal_get_decidable(person: Person, pk: object) -> Proposal:
    """For an approval or for sending back: those who may approve its kind, and its proposer. Raises Http404."""
    proposal = get_object_or_404(Proposal.objects.select_related("organisation", "proposed_by"), pk=pk)
    is_own = isinstance(person, User) and proposal.proposed_by_id == person.pk
    if not is_own and not kind_of(proposal).may_approve(person):
        raise Http404
    return proposal


def proposal_queue(person: Person, *, kind: str = "") -> QuerySet[Proposal]:
    """What waits for a second or third person, the oldest first. Raises Http404 for others than the centre's people."""
    if not reads_everything(person):
        raise Http404
    rows = proposals_visible(person).filter(state=State.WAITING).order_by("proposed_at", "id")
    return rows.filter(kind=kind) if kind else rows


def proposal_history(person: Person, *, kind: str = "") -> QuerySet[Proposal]:
    """What was carried out or sent back, the latest first. Raises Http404 for others than the centre's people."""
    if not reads_everything(person):
        raise Http404
    rows = proposals_visible(person).exclude(state=State.WAITING).order_by("-closed_at", "id")
    return rows.filter(kind=kind) if kind else rows


@dataclass(frozen=True)
class Row:
    """A proposal in a list. turn: whom it waits for, as the reader sees it: you, own (you proposed it), approved (by
    you), conflict, others; "" once it is closed."""

    proposal: Proposal
    kind: Kind
    about: str
    approvals: int
    turn: str


def proposal_rows(person: User, proposals: Iterable[Proposal]) -> list[Row]:
    """The same few queries for any number of proposals."""
    rows = list(proposals)
    approvals = _approvals(rows)
    bound = set(organisations_in_conflict(person).values_list("pk", flat=True)) if rows else set()
    # Many kinds share one rule of who may approve: each rule is asked once.
    may = {rule: rule(person) for rule in {kind_of(one).may_approve for one in rows if one.state == State.WAITING}}
    return [
        Row(
            proposal=one,
            kind=kind_of(one),
            about=kind_of(one).summary(one) or str(kind_of(one).label),
            approvals=len(approvals.get(one.pk, ())),
            turn=_turn(person, one, approvals.get(one.pk, set()), bound, may),
        )
        for one in rows
    ]


def _approvals(proposals: list[Proposal]) -> dict[object, set[int]]:
    found: dict[object, set[int]] = {}
    pairs = Proposal.objects.filter(pk__in=[one.pk for one in proposals], approvals__isnull=False)
    for pk, approver_id in pairs.values_list("pk", "approvals__approver"):
        found.setdefault(pk, set()).add(approver_id)
    return found


def _turn(person: User, proposal: Proposal, approvers: set[int], bound: set[int], may: dict[Rule, bool]) -> str:
    if proposal.state != State.WAITING:
        return ""
    if proposal.proposed_by_id == person.pk:
        return "own"
    if proposal.organisation_id in bound:
        return "conflict"
    if person.pk in approvers:
        return "approved"
    return "you" if may[kind_of(proposal).may_approve] else "others"


@dataclass(frozen=True)
class Verbs:
    """What a person can do with a proposal now; what is allowed is decided by the services, and by the database."""

    approve: bool
    send_back: bool
    take_back: bool
    conflict: bool
    approved: bool


def verbs_of(person: User, proposal: Proposal) -> Verbs:
    waits = proposal.state == State.WAITING
    is_own = proposal.proposed_by_id == person.pk
    may = waits and kind_of(proposal).may_approve(person)
    conflict = may and proposal.organisation is not None and has_conflict(person, proposal.organisation)
    approved = may and proposal.approvals.filter(approver=person).exists()
    return Verbs(
        approve=may and not is_own and not conflict and not approved,
        send_back=may and not is_own and not conflict,
        take_back=waits and is_own,
        conflict=conflict,
        approved=approved,
    )


# --- interests ------------------------------------------------------------------------------------------------------


def conflicts_visible(person: User) -> QuerySet[Conflict]:
    """A person's own; all for operators, approvers and auditors. For the centre's people: others get Http404."""
    if not centre_roles(person):
        raise Http404
    rows = Conflict.objects.select_related("person", "organisation", "declared_by")
    return rows if reads_everything(person) else rows.filter(person=person)


def conflict_get_liftable(person: User, pk: int) -> Conflict:
    """For ending one: who decides at the centre. Raises Http404."""
    if not may_approve(person):
        raise Http404
    return get_object_or_404(conflicts_visible(person), pk=pk)
