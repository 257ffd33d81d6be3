"""From an application to an award. Two people decide, and it is the database that says so (`decision_two_people`).

Whether a person may see an application is decided by the selector that fetched it. What the rules of a decision are
(roles, conflicts of interest) is decided here, because no page may forget it.
"""

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from portal.audit.context import acting
from portal.clock import centre_date, now
from portal.outbox.services import message_write
from portal.people.errors import PeopleError
from portal.people.models import Project, ProjectMembership, User
from portal.people.rules import is_operator
from portal.people.services import project_create, project_member_add
from quotas.allocations.errors import PoolTooSmall
from quotas.allocations.models import Allocation
from quotas.allocations.services import voucher_award
from quotas.applications.errors import Invalid, WrongState
from quotas.applications.models import Application
from quotas.applications.services import application_state_move
from quotas.programmes.selectors import pool_free_gpu_seconds
from quotas.proposals.rules import has_conflict
from quotas.reviews.errors import AwardRefused, ConflictOfInterest, NotDecider, SamePerson
from quotas.reviews.models import Decision
from quotas.reviews.rules import may_confirm
from quotas.texts import is_plain_text
from quotas.units import SECONDS_PER_HOUR

State = Application.State


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
        application_state_move(application, [State.SUBMITTED], State.PROPOSED)
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
        application_state_move(application, [State.PROPOSED], outcome)
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
        message_write(topic="reviews.decided", key=str(decision.pk), payload={"decision": decision.pk})
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
        application_state_move(application, [State.PROPOSED], State.SUBMITTED)
        back = _standing(application).filter(pk=decision.pk)
        if not back.update(sent_back_by=person, sent_back_at=now(), sent_back_reason=reason.strip()):
            raise WrongState(application.get_state_display())


def _standing(application: Application) -> QuerySet[Decision]:
    return Decision.objects.filter(application=application, sent_back_at__isnull=True, confirmed_at__isnull=True)


def decision_fall(application: Application, person: User) -> None:
    """The application was withdrawn, in whose transaction this runs: a decision that was proposed falls with it."""
    _standing(application).update(
        sent_back_by=person, sent_back_at=now(), sent_back_reason="The application was withdrawn."
    )


def _constraint(error: IntegrityError) -> str:
    diag = getattr(error.__cause__, "diag", None)
    return getattr(diag, "constraint_name", "") or ""
