"""Applications, as far as a person may see them, and what that person can do with one."""

from dataclasses import dataclass

from django.db.models import Prefetch, QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404

from portal.people.models import Organisation, Project, User
from portal.people.rules import Person, is_operator, manages, reads_everything
from portal.people.selectors import organisations_managed
from quotas.applications.models import Application, Decision
from quotas.applications.rules import may_confirm
from quotas.programmes.models import ProgrammePool
from quotas.programmes.selectors import programmes_open
from quotas.proposals.rules import has_conflict

State = Application.State
WAITING = (State.SUBMITTED, State.PROPOSED)


def applications_visible(person: Person) -> QuerySet[Application]:
    """Those of the organisations that the person manages; all for operators, approvers and auditors."""
    rows = Application.objects.select_related("organisation", "programme", "applicant")
    return rows if reads_everything(person) else rows.filter(organisation__in=organisations_managed(person))


def application_list(person: Person, *, state: str = "") -> QuerySet[Application]:
    """What the person may see, newest first; with `state`, only those in it."""
    rows = applications_visible(person)
    return rows.filter(state=state) if state in State.values else rows


def application_get(person: Person, pk: int) -> Application:
    """Raises Http404 where the person may not see it."""
    return get_object_or_404(applications_visible(person), pk=pk)


def application_get_own(person: Person, pk: int) -> Application:
    """For the applicant's side: only the organisation's managers. Raises Http404."""
    rows = Application.objects.select_related("organisation", "programme", "applicant")
    return get_object_or_404(rows, pk=pk, organisation__in=organisations_managed(person))


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

    withdraw: bool
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
        withdraw=application.state in WAITING and manages(person, application.organisation),
        propose=application.state == State.SUBMITTED and not conflict and is_operator(person),
        confirm=decides and standing is not None and standing.proposed_by_id != person.pk,
        send_back=decides,
        conflict=conflict,
    )


def projects_for_award(application: Application) -> QuerySet[Project]:
    return Project.objects.filter(organisation=application.organisation, is_active=True).order_by("title", "id")


def organisations_that_can_apply(person: Person) -> QuerySet[Organisation]:
    return organisations_managed(person).order_by("name")


def gpu_types_open() -> list[str]:
    """GPU types that some programme has a budget for today."""
    pools = ProgrammePool.objects.filter(programme__in=programmes_open())
    return sorted(set(pools.values_list("gpu_type", flat=True)))
