"""From an application to an award: proposed by one person, confirmed by others, as quotas.proposals says.

Whether a person may see an application is decided by the selector that fetched it. What the rules of a decision are
(roles, conflicts of interest, one part a person) is decided here and in the database, because no page may forget it.
"""

from collections.abc import Sequence

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from portal.audit.context import acting
from portal.clock import centre_date, now
from portal.outbox.services import message_write
from portal.people.errors import PeopleError
from portal.people.models import Project, ProjectMembership, User
from portal.people.rules import is_operator
from portal.people.services import project_create, project_member_add
from quotas.allocations.models import Allocation, Commitment
from quotas.allocations.services import TranchePlan, award_check_today, voucher_award
from quotas.applications.errors import Invalid, WrongState
from quotas.applications.models import Application
from quotas.applications.selectors import answer_values
from quotas.applications.services import application_state_move
from quotas.programmes.selectors import worth_today_vnd
from quotas.programmes.terms import approvals_needed
from quotas.proposals import errors as proposal_errors
from quotas.proposals.models import Proposal
from quotas.proposals.rules import has_conflict, may_approve
from quotas.proposals.services import proposal_approve, proposal_lapse, proposal_make, proposal_send_back
from quotas.reviews.errors import AwardRefused, ConflictOfInterest, NotDecider, SamePerson, error_from
from quotas.reviews.models import Assignment, Decision
from quotas.reviews.services.assignments import reviews_end
from quotas.texts import is_plain_text
from quotas.units import SECONDS_PER_HOUR

State = Application.State
KIND = "award"
# The questions of an application (applications.fields), and what their yes commits to.
COMMITMENTS = {
    "open_use": Commitment.FREE_USE,
    "open_methods": Commitment.METHODS,
    "open_data": Commitment.DATA,
}


def decision_propose(
    *,
    person: User,
    application: Application,
    outcome: str,
    reason: str,
    awarded_gpu_hours: int = 0,
    cluster: str = "",
    project: Project | None = None,
    tranches: Sequence[TranchePlan] = (),
) -> Decision:
    """An operator proposes an award (all of it or a part, on one cluster, to a project or a new one, at once or in
    tranches that add up to it) or a refusal.

    Raises NotDecider, ConflictOfInterest, OtherPart, Invalid, WrongState; what the award itself would be refused for
    today (QuotaError, TariffMissing), so that it is said before a second person looks.
    """
    if not is_operator(person):
        raise NotDecider
    if has_conflict(person, application.organisation):
        raise ConflictOfInterest
    _check_reason(reason)
    is_award = outcome == Decision.Outcome.AWARD
    if is_award:
        _check_award(application, awarded_gpu_hours, cluster, project)
        _check_tranches(application, awarded_gpu_hours, tranches)
    seconds = awarded_gpu_hours * SECONDS_PER_HOUR if is_award else 0
    amount_vnd = worth_today_vnd(application.gpu_type, seconds, cluster) or 0
    with transaction.atomic(), acting(person, "decision_propose"):
        application_state_move(application, [State.SUBMITTED], State.PROPOSED)
        if is_award:
            award_check_today(
                organisation=application.organisation,
                programme=application.programme,
                gpu_type=application.gpu_type,
                amount_gpu_seconds=seconds,
                cluster=cluster,
            )
        proposal = proposal_make(
            kind=KIND,
            facts={
                "application": application.pk,
                "title": application.project_title,
                "outcome": str(Decision.Outcome(outcome)),
                "gpu_type": application.gpu_type,
                "gpu_seconds": seconds,
                "asked_gpu_seconds": application.gpu_hours * SECONDS_PER_HOUR,
                "amount_vnd": amount_vnd,
                "cluster": cluster if is_award else "",
                "project": project.pk if is_award and project else None,
                "tranches": [plan.as_facts() for plan in tranches] if is_award else [],
            },
            reason=reason,
            person=person,
            organisation=application.organisation,
            approvals_needed=approvals_needed(application.programme, amount_vnd),
        )
        try:
            with transaction.atomic():
                return Decision.objects.create(
                    application=application,
                    proposal=proposal,
                    outcome=Decision.Outcome(outcome),
                    awarded_gpu_seconds=seconds,
                    amount_vnd=amount_vnd,
                    cluster=cluster if is_award else "",
                    project=project if is_award else None,
                )
        except IntegrityError as error:
            raise error_from(error) or error from error


def _check_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > 4_000 or not is_plain_text(reason):
        raise Invalid(_("Give the reason, in at most 4,000 characters without control characters."), field="reason")


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


def _check_tranches(application: Application, gpu_hours: int, tranches: Sequence[TranchePlan]) -> None:
    amounts = [plan.amount_gpu_seconds for plan in tranches]
    if tranches and (min(amounts) <= 0 or sum(amounts) != gpu_hours * SECONDS_PER_HOUR):
        raise Invalid(_("The parts of an award are above 0 and add up to it."), field="first_gpu_hours")
    days = [plan.release_on for plan in tranches if plan.release_on is not None]
    if any(not application.starts_on <= day <= application.ends_on for day in days):
        raise Invalid(_("This day lies outside the period that was asked for."), field="rest_on")


def decision_confirm(*, person: User, decision: Decision) -> Decision:
    """The second person's yes, or the second's and the third's. The last one makes project (with the applicant as its
    PI), voucher, allocation and grant, in one transaction, the applicant's mail included.

    Raises SamePerson, OtherPart (the database's word), NotDecider, ConflictOfInterest, WrongState, AwardRefused (ended
    meanwhile, applicant gone, dearer than at the proposal), and what voucher_award refuses.
    """
    try:
        proposal_approve(proposal=decision.proposal, person=person)
    except proposal_errors.CannotBeCarriedOut as error:
        raise error.__cause__ or error from error  # what the award itself refused
    except proposal_errors.ProposalError as error:
        raise _ours(error, decision) from error
    decision.refresh_from_db()
    decision.application.refresh_from_db()
    return decision


def decision_reject(*, person: User, decision: Decision, reason: str) -> None:
    """Sends a proposed decision back: the application waits again for a proposal. The proposer may do it too.

    Raises NotDecider, ConflictOfInterest, Invalid, WrongState.
    """
    _check_reason(reason)
    if not may_approve(person):
        raise NotDecider
    if has_conflict(person, decision.application.organisation):
        raise ConflictOfInterest
    try:
        proposal_send_back(proposal=decision.proposal, person=person, reason=reason)
    except proposal_errors.ProposalError as error:
        raise _ours(error, decision) from error
    decision.refresh_from_db()
    decision.application.refresh_from_db()


def _ours(error: proposal_errors.ProposalError, decision: Decision) -> Exception:
    if isinstance(error, proposal_errors.NotAllowed):
        return NotDecider()
    if isinstance(error, proposal_errors.ConflictOfInterest):
        return ConflictOfInterest(error.message)
    if isinstance(error, proposal_errors.SamePerson):
        return SamePerson() if error.message == proposal_errors.SamePerson.message else SamePerson(error.message)
    if isinstance(error, proposal_errors.WrongState):
        return WrongState(Application.objects.get(pk=decision.application_id).get_state_display())
    return error


# --- what the proposal's end does -----------------------------------------------------------------------------------


def decision_carry_out(proposal: Proposal) -> None:
    """The last approval was given, in whose transaction this runs. Raises AwardRefused, WrongState, and what
    voucher_award refuses."""
    decision = Decision.objects.select_related("application__programme", "application__organisation", "project").get(
        proposal=proposal
    )
    application = decision.application
    is_award = decision.outcome == Decision.Outcome.AWARD
    person = proposal.decided_by
    if is_award and proposal.approvals_needed < approvals_needed(
        application.programme,
        worth_today_vnd(application.gpu_type, decision.awarded_gpu_seconds, decision.cluster) or 0,
    ):
        raise AwardRefused(
            _("At today's tariff this award needs two approvals. Send it back, so that it is proposed again.")
        )
    outcome = State.AWARDED if is_award else State.REFUSED
    application_state_move(application, [State.PROPOSED], outcome, reason=proposal.reason)
    if is_award:
        allocation = _award(decision, person)
        decision.project, decision.voucher, decision.allocation = allocation.project, allocation.voucher, allocation
    decision.state = Decision.State.CONFIRMED
    decision.save(update_fields=["state", "project", "voucher", "allocation"])
    reviews_end(application=application, end=Assignment.End.DECIDED)
    message_write(topic="reviews.decided", key=str(decision.pk), payload={"decision": decision.pk})


def decision_sent_back(proposal: Proposal) -> None:
    """The proposal was closed without being carried out: the application waits again, unless it was withdrawn."""
    decision = Decision.objects.select_related("application").get(proposal=proposal)
    decision.state = Decision.State.SENT_BACK
    decision.save(update_fields=["state"])
    if decision.application.state == State.PROPOSED:
        application_state_move(decision.application, [State.PROPOSED], State.SUBMITTED)


def decision_fall(application: Application, person: User) -> None:
    """The application was withdrawn, in whose transaction this runs: a decision that was proposed falls with it."""
    standing = Decision.objects.filter(application=application, state=Decision.State.PROPOSED).select_related(
        "proposal"
    )
    for decision in standing:
        proposal_lapse(proposal=decision.proposal, person=person, reason=_("The application was withdrawn."))


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
    return voucher_award(
        organisation=application.organisation,
        project=project,
        programme=application.programme,
        gpu_type=application.gpu_type,
        amount_gpu_seconds=decision.awarded_gpu_seconds,
        cluster=decision.cluster,
        starts_on=application.starts_on,
        ends_on=application.ends_on,
        actor=person,
        # A proposal of before there were tranches in it has none.
        tranches=[TranchePlan.from_facts(plan) for plan in decision.proposal.facts.get("tranches", [])],
        commitments=_commitments(application),
    )


def _commitments(application: Application) -> list[str]:
    """What the application commits itself to is what the close-out asks for; without a call nobody was asked."""
    if application.call_id is None:
        return list(Commitment.values)
    answers = answer_values(application)
    return [commitment for question, commitment in COMMITMENTS.items() if answers.get(question) == "yes"]
