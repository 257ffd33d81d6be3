"""What waits for a decision, and what a person can do with it."""

from dataclasses import dataclass

from django.db.models import Prefetch, QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404

from portal.people.models import Project, User
from portal.people.rules import Person, is_operator, reads_everything
from quotas.applications.models import Application
from quotas.applications.selectors import WAITING, application_get, applications_visible
from quotas.proposals.rules import has_conflict
from quotas.reviews.models import Decision
from quotas.reviews.rules import may_confirm

State = Application.State


def application_get_in_review(person: Person, pk: int) -> Application:
    """For the centre's page of it: operators, approvers and auditors. Raises Http404."""
    if not reads_everything(person):
        raise Http404
    return application_get(person, pk)


def application_get_proposable(person: Person, pk: int) -> Application:
    """For a proposal: operators. Raises Http404."""
    if not is_operator(person):
        raise Http404
    return application_get(person, pk)


def decision_get_confirmable(person: Person, application_pk: int, pk: int) -> Decision:
    """For a confirmation or for sending back: operators and approvers. Raises Http404."""
    if not may_confirm(person):
        raise Http404
    rows = Decision.objects.select_related(
        "application__organisation", "application__programme", "application__applicant", "proposed_by", "project"
    )
    return get_object_or_404(rows, pk=pk, application=application_pk)


def decisions_of(application: Application) -> list[Decision]:
    """All of an application's decisions, those sent back included, newest first."""
    rows = application.decisions.select_related(
        "proposed_by", "confirmed_by", "sent_back_by", "project", "allocation", "voucher"
    )
    return list(rows)


def decision_queue(person: Person) -> QuerySet[Application]:
    """What waits for a decision, the oldest first, each with its proposal in `proposals`. Raises Http404."""
    if not reads_everything(person):
        raise Http404
    proposals = Decision.objects.filter(sent_back_at__isnull=True).select_related("proposed_by")
    return (
        applications_visible(person)
        .filter(state__in=WAITING)
        .prefetch_related(Prefetch("decisions", queryset=proposals, to_attr="proposals"))
        .order_by("created_at", "id")
    )


@dataclass(frozen=True)
class Verbs:
    """What a person can do with an application now. `conflict`: the person belongs to the applying organisation."""

    propose: bool
    confirm: bool
    send_back: bool
    conflict: bool


def verbs_of(person: User, application: Application, decisions: list[Decision]) -> Verbs:
    """What is offered; what is allowed is decided by the services, and in the end by the database."""
    conflict = may_confirm(person) and has_conflict(person, application.organisation)
    standing = next((one for one in decisions if one.sent_back_at is None), None)
    decides = application.state == State.PROPOSED and not conflict and may_confirm(person)
    return Verbs(
        propose=application.state == State.SUBMITTED and not conflict and is_operator(person),
        confirm=decides and standing is not None and standing.proposed_by_id != person.pk,
        send_back=decides,
        conflict=conflict,
    )


def projects_for_award(application: Application) -> QuerySet[Project]:
    return Project.objects.filter(organisation=application.organisation, is_active=True).order_by("title", "id")
