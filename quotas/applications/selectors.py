"""Applications, as far as a person may see them, and what that person can do with one."""

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404

from portal.people.models import Organisation
from portal.people.rules import Person, manages, reads_everything
from portal.people.selectors import organisations_managed
from quotas.applications.models import Application
from quotas.programmes.models import ProgrammePool
from quotas.programmes.selectors import programmes_open

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


def may_withdraw(person: Person, application: Application) -> bool:
    """Whether it is offered; the service decides."""
    return application.state in WAITING and manages(person, application.organisation)


def organisations_that_can_apply(person: Person) -> QuerySet[Organisation]:
    return organisations_managed(person).order_by("name")


def gpu_types_open() -> list[str]:
    """GPU types that some programme has a budget for today."""
    pools = ProgrammePool.objects.filter(programme__in=programmes_open())
    return sorted(set(pools.values_list("gpu_type", flat=True)))
