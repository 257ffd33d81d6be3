"""From an application to an award. Two people decide, and it is the database that says so (`decision_two_people`).

Whether a person may see an application is decided by the selector that fetched it. What the rules of a decision are
(roles, conflicts of interest) is decided here, because no page may forget it.
"""

from datetime import date

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from portal.audit.context import acting
from portal.clock import centre_date, now
from portal.outbox.services import message_write
from portal.people.errors import PeopleError
from portal.people.models import Organisation, Project, ProjectMembership, User
from portal.people.rules import is_operator, manages
from portal.people.services import project_create, project_member_add
from quotas.allocations.errors import PoolTooSmall
from quotas.allocations.models import Allocation
from quotas.allocations.services import voucher_award
from quotas.applications.errors import (
    AwardRefused,
    ConflictOfInterest,
    Invalid,
    NotDecider,
    NotManager,
    SamePerson,
    WrongState,
)
from quotas.applications.models import Application, Decision
from quotas.applications.rules import may_confirm
from quotas.programmes.models import Programme
from quotas.programmes.selectors import pool_free_gpu_seconds
from quotas.proposals.rules import has_conflict
from quotas.texts import is_plain_name, is_plain_text
from quotas.units import SECONDS_PER_HOUR

State = Application.State
GPU_HOURS_MAX = 100_000_000  # three times what Llama 3 took: a slip of the keyboard, not a plan


def application_submit(
    *,
    person: User,
    organisation: Organisation,
    programme: Programme,
    project_title: str,
    purpose: str,
    gpu_type: str,
    gpu_hours: int,
    starts_on: date,
    ends_on: date,
) -> Application:
    """Asks a programme for GPU-hours for a project of an organisation that the person manages.

    Raises NotManager, Invalid (with the field that is wrong).
    """
    if not manages(person, organisation):
        raise NotManager(field="organisation")
    title = " ".join(project_title.split(" ")).strip()
    _check_texts(title, purpose)
    _check_request(programme, gpu_type, gpu_hours, starts_on, ends_on)
    with transaction.atomic(), acting(person, "application_submit"):
        moment = now()
        return Application.objects.create(
            programme=programme,
            organisation=organisation,
            applicant=person,
            project_title=title,
            purpose=purpose.replace("\r\n", "\n").strip(),
            gpu_type=gpu_type,
            gpu_hours=gpu_hours,
            starts_on=starts_on,
            ends_on=ends_on,
            created_at=moment,
            updated_at=moment,
        )


def _check_texts(title: str, purpose: str) -> None:
    if not 3 <= len(title) <= 200 or not is_plain_name(title):
        raise Invalid(
            _("Use 3 to 200 characters on one line, without straight quotation marks and \\ ` $ ; | < >."),
            field="project_title",
        )
    if not purpose.strip() or len(purpose) > 10_000 or not is_plain_text(purpose):
        raise Invalid(_("Say in 1 to 10,000 characters, without control characters, what it is for."), field="purpose")


def _check_request(programme: Programme, gpu_type: str, gpu_hours: int, starts_on: date, ends_on: date) -> None:
    today = centre_date(now())
    if programme.imported or not programme.starts_on <= today <= programme.ends_on:
        raise Invalid(_("This programme takes no applications today."), field="programme")
    if not programme.pools.filter(gpu_type=gpu_type).exists():
        raise Invalid(_("This programme has no GPUs of this type."), field="gpu_type")
    if not 1 <= gpu_hours <= GPU_HOURS_MAX:
        raise Invalid(_("Ask for 1 to 100,000,000 GPU-hours."), field="gpu_hours")
    if starts_on < today:
        raise Invalid(_("The first day cannot lie in the past."), field="starts_on")
    if ends_on < starts_on:
        raise Invalid(_("The last day cannot come before the first."), field="ends_on")
    if ends_on > programme.ends_on:
        raise Invalid(_("The programme ends before this day."), field="ends_on")


def application_withdraw(*, person: User, application: Application) -> None:
    """Takes an undecided application back; a proposed decision falls with it. Raises NotManager, WrongState."""
    if not manages(person, application.organisation):
        raise NotManager
    with transaction.atomic(), acting(person, "application_withdraw"):
        _state_move(application, [State.SUBMITTED, State.PROPOSED], State.WITHDRAWN)
        _standing(application).update(
            sent_back_by=person, sent_back_at=now(), sent_back_reason="The application was withdrawn."
        )
    application.state = State.WITHDRAWN


def decision_propose(
    *,
    person: User,
    application: Application,
    outcome: str,
    reason: str,
    awarded_gpu_hours: int = 0,
    cluster: str = "",
    project: Project | None = None,
) -> Decision:
    """An operator proposes an award (all of it or a part, on one cluster, to a project or a new one) or a refusal.

    Raises NotDecider, ConflictOfInterest, Invalid, WrongState; PoolTooSmall if the programme's budget does not reach.
    """
    if not is_operator(person):
        raise NotDecider
    if has_conflict(person, application.organisation):
        raise ConflictOfInterest
    if not reason.strip() or len(reason) > 4_000 or not is_plain_text(reason):
        raise Invalid(_("Give the reason, in at most 4,000 characters without control characters."), field="reason")
    is_award = outcome == Decision.Outcome.AWARD
    if is_award:
        _check_award(application, awarded_gpu_hours, cluster, project)
    with transaction.atomic(), acting(person, "decision_propose"):
        _state_move(application, [State.SUBMITTED], State.PROPOSED)
        decision = Decision.objects.create(
            application=application,
            outcome=Decision.Outcome(outcome),
            awarded_gpu_seconds=awarded_gpu_hours * SECONDS_PER_HOUR if is_award else 0,
            cluster=cluster if is_award else "",
            project=project if is_award else None,
            reason=reason.strip(),
            proposed_by=person,
            proposed_at=now(),
        )
    application.state = State.PROPOSED
    return decision


def _check_award(application: Application, gpu_hours: int, cluster: str, project: Project | None) -> None:
    if not 1 <= gpu_hours <= application.gpu_hours:
        raise Invalid(
            _("Award 1 to %(asked)s GPU-hours: more was not asked for.") % {"asked": f"{application.gpu_hours:,}"},
            field="awarded_gpu_hours",
        )
    if not cluster:
        raise Invalid(_("Say on which cluster."), field="cluster")
    if project is not None and (project.organisation_id != application.organisation_id or not project.is_active):
        raise Invalid(_("This is no active project of the applying organisation."), field="project")
    pool = application.programme.pools.filter(gpu_type=application.gpu_type).first()
    free = pool_free_gpu_seconds(pool) if pool else 0
    if gpu_hours * SECONDS_PER_HOUR > free:
        # The ledger decides at the confirmation; this only says it before a second person looks.
        raise PoolTooSmall(
            programme=application.programme.name,
            gpu_type=application.gpu_type,
            free_gpu_seconds=free,
            needed_gpu_seconds=gpu_hours * SECONDS_PER_HOUR,
        )


def decision_confirm(*, person: User, decision: Decision) -> Decision:
    """The second person's yes. An award makes project (with the applicant as its PI), voucher, allocation and grant.

    Everything in one transaction, the applicant's mail included. Raises SamePerson (the database's word), NotDecider,
    ConflictOfInterest, WrongState, AwardRefused (ended meanwhile, applicant gone), PoolTooSmall.
    """
    application = decision.application
    if not may_confirm(person):
        raise NotDecider
    if has_conflict(person, application.organisation):
        raise ConflictOfInterest
    with transaction.atomic(), acting(person, "decision_confirm"):
        is_award = decision.outcome == Decision.Outcome.AWARD
        outcome = State.AWARDED if is_award else State.REFUSED
        _state_move(application, [State.PROPOSED], outcome)
        try:
            with transaction.atomic():
                confirmed = _standing(application).filter(pk=decision.pk)
                count = confirmed.update(confirmed_by=person, confirmed_at=now())
        except IntegrityError as error:
            if _constraint(error) == "decision_two_people":
                raise SamePerson from error
            raise
        if not count:  # another decision was proposed since the person looked at this one
            raise WrongState(application.get_state_display())
        decision.refresh_from_db(fields=["confirmed_by", "confirmed_at"])
        if is_award:
            _award(decision, person)
        message_write(topic="applications.decided", key=str(decision.pk), payload={"decision": decision.pk})
    application.state = outcome
    return decision


def _award(decision: Decision, person: User) -> Allocation:
    application = decision.application
    if application.ends_on < centre_date(now()):
        raise AwardRefused(_("The period asked for is over. Send it back or refuse it."))
    project = decision.project
    if project is None:
        project = project_create(organisation=application.organisation, title=application.project_title, actor=person)
        try:
            project_member_add(
                project=project, user=application.applicant, role=ProjectMembership.Role.PI, actor=person
            )
        except PeopleError as error:
            raise AwardRefused(_("The applicant has left the organisation: nobody would lead the project.")) from error
    allocation = voucher_award(
        organisation=application.organisation,
        project=project,
        programme=application.programme,
        gpu_type=application.gpu_type,
        amount_gpu_seconds=decision.awarded_gpu_seconds,
        cluster=decision.cluster,
        starts_on=application.starts_on,
        ends_on=application.ends_on,
        actor=person,
    )
    decision.project, decision.voucher, decision.allocation = project, allocation.voucher, allocation
    decision.save(update_fields=["project", "voucher", "allocation"])
    return allocation


def decision_reject(*, person: User, decision: Decision, reason: str) -> None:
    """Sends a proposed decision back: the application waits again for a proposal. The proposer may do it too.

    Raises NotDecider, ConflictOfInterest, Invalid, WrongState.
    """
    application = decision.application
    if not may_confirm(person):
        raise NotDecider
    if has_conflict(person, application.organisation):
        raise ConflictOfInterest
    if not reason.strip() or len(reason) > 4_000 or not is_plain_text(reason):
        raise Invalid(_("Give the reason, in at most 4,000 characters without control characters."), field="reason")
    with transaction.atomic(), acting(person, "decision_reject"):
        _state_move(application, [State.PROPOSED], State.SUBMITTED)
        back = _standing(application).filter(pk=decision.pk)
        if not back.update(sent_back_by=person, sent_back_at=now(), sent_back_reason=reason.strip()):
            raise WrongState(application.get_state_display())
    application.state = State.SUBMITTED


def _standing(application: Application) -> QuerySet[Decision]:
    return Decision.objects.filter(application=application, sent_back_at__isnull=True, confirmed_at__isnull=True)


def _state_move(application: Application, before: list[str], after: str) -> None:
    # Compare and set: of two who act on the same application at once, the second is told what the first made of it.
    moved = Application.objects.filter(pk=application.pk, state__in=before).update(state=after, updated_at=now())
    if not moved:
        application.refresh_from_db(fields=["state"])
        raise WrongState(application.get_state_display())


def _constraint(error: IntegrityError) -> str:
    diag = getattr(error.__cause__, "diag", None)
    return getattr(diag, "constraint_name", "") or ""
