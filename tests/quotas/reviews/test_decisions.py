"""From application to award, and who may not have a part in it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.mail import EmailMessage
from django.db import IntegrityError, connection, transaction

from portal.clock import centre_date, now
from portal.outbox.models import Message
from portal.outbox.services import messages_deliver
from portal.people.models import Membership, Organisation, Project, ProjectMembership, User
from portal.people.services import centre_role_grant, language_set, membership_remove
from quotas.allocations.errors import PoolTooSmall
from quotas.allocations.models import Allocation, Voucher
from quotas.allocations.selectors import allocation_balances
from quotas.applications.errors import Invalid, NotManager, WrongState
from quotas.applications.models import Application
from quotas.applications.services import application_withdraw
from quotas.programmes.models import Programme
from quotas.programmes.selectors import pool_balances
from quotas.reviews import errors
from quotas.reviews.models import Decision
from quotas.reviews.services import decision_confirm, decision_propose, decision_reject
from tests import factories
from tests.quotas.applications.conftest import submit
from tests.quotas.makers import HOUR
from tests.quotas.reviews.conftest import Propose

pytestmark = pytest.mark.django_db


# --- the award ----------------------------------------------------------------------------------------------------


def test_two_people_award_project_voucher_allocation_and_grant(
    propose: Propose, second_operator: User, organisation_manager: User
) -> None:
    decision = decision_confirm(person=second_operator, decision=propose())
    allocation = decision.allocation
    assert allocation is not None
    assert decision.application.state == "awarded"
    assert allocation.project.title == "Trợ lý ảo tiếng Việt"
    assert allocation.project.slug == "tro-ly-ao-tieng-viet"
    assert (allocation.gpu_type, allocation.cluster, allocation.state) == ("h100", "local", "active")
    assert allocation.voucher == decision.voucher
    assert allocation_balances([allocation.pk])[allocation.pk].free == 400 * HOUR
    assert ProjectMembership.objects.get(project=allocation.project).user == organisation_manager
    assert pool_balances()[0].free_gpu_seconds == 600 * HOUR


@pytest.mark.parametrize(
    ("language", "outcome", "words"),
    [
        ("vi", "award", ["Hồ sơ của bạn được duyệt", "400 giờ GPU"]),
        ("en", "award", ["was awarded", "400 GPU-hours"]),
        ("vi", "refusal", ["Hồ sơ của bạn bị từ chối"]),
        ("en", "refusal", ["was refused"]),
    ],
)
def test_the_applicant_gets_one_mail_in_their_language(
    propose: Propose,
    second_operator: User,
    organisation_manager: User,
    mailoutbox: list[EmailMessage],
    language: str,
    outcome: str,
    words: list[str],
) -> None:
    language_set(user=organisation_manager, language=language)
    decision_confirm(person=second_operator, decision=propose(outcome=outcome))
    assert messages_deliver(queue="default") == 2  # the proposer hears of it too
    [mail] = [one for one in mailoutbox if one.to == ["lan@sao-mai.example"]]
    assert "Trợ lý ảo tiếng Việt" in mail.subject
    assert "Đúng sản phẩm ưu tiên." in str(mail.body)
    assert [word for word in words if word not in mail.subject + str(mail.body)] == []


def test_an_approver_can_confirm(propose: Propose, approver: User) -> None:
    assert decision_confirm(person=approver, decision=propose()).allocation is not None


def test_an_award_can_go_to_an_existing_project(
    propose: Propose, project: Project, second_operator: User, organisation_manager: User
) -> None:
    decision = decision_confirm(person=second_operator, decision=propose(project=project))
    assert decision.allocation is not None
    assert decision.allocation.project == project
    assert not ProjectMembership.objects.filter(user=organisation_manager).exists()


def test_an_award_cannot_go_to_a_project_of_another_organisation(propose: Propose, other_project: Project) -> None:
    with pytest.raises(Invalid) as refused:
        propose(project=other_project)
    assert refused.value.field == "project"


def test_a_refusal_makes_nothing(propose: Propose, second_operator: User) -> None:
    decision = decision_confirm(person=second_operator, decision=propose(outcome="refusal"))
    assert decision.application.state == "refused"
    assert (decision.awarded_gpu_seconds, decision.voucher, decision.allocation) == (0, None, None)
    assert not Voucher.objects.exists()
    assert Message.objects.filter(topic="reviews.decided").count() == 1


@pytest.mark.parametrize("hours", [0, -1, 501])
def test_no_more_is_awarded_than_was_asked_for(propose: Propose, hours: int) -> None:
    with pytest.raises(Invalid) as refused:
        propose(awarded_gpu_hours=hours)
    assert refused.value.field == "awarded_gpu_hours"
    assert not Decision.objects.exists()


# --- two people, by the database ----------------------------------------------------------------------------------


def test_the_proposer_cannot_confirm(propose: Propose, operator: User) -> None:
    decision = propose()
    with pytest.raises(errors.SamePerson):
        decision_confirm(person=operator, decision=decision)
    decision = Decision.objects.get()
    assert (decision.state, decision.confirmed_by) == ("proposed", [])
    assert Application.objects.get().state == "proposed"
    assert not Allocation.objects.exists()
    assert not Message.objects.exists()


def test_the_proposer_cannot_confirm_with_a_second_role(propose: Propose, operator: User) -> None:
    centre_role_grant(user=operator, role="approver")
    with pytest.raises(errors.SamePerson):
        decision_confirm(person=operator, decision=propose())


def test_the_database_itself_refuses_one_person_twice(propose: Propose) -> None:
    decision = propose()
    with (
        pytest.raises(IntegrityError, match="decision_two_people"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "UPDATE reviews_decision SET state = 'confirmed' WHERE id = %s",
            [decision.pk],
        )


def test_the_database_refuses_to_take_a_confirmed_decision_back(
    propose: Propose, project: Project, second_operator: User
) -> None:
    decision = decision_confirm(person=second_operator, decision=propose(project=project))
    with pytest.raises(IntegrityError, match="decision_immutable"), transaction.atomic():
        Decision.objects.filter(pk=decision.pk).update(state="sent_back")


def test_the_database_refuses_two_standing_decisions(propose: Propose, operator: User) -> None:
    decision = propose()
    proposal = decision.proposal
    proposal.pk = uuid4()
    proposal.save(force_insert=True)
    decision.pk, decision.proposal = None, proposal
    with pytest.raises(IntegrityError, match="decision_one_stands"), transaction.atomic():
        decision.save(force_insert=True)


def test_an_approver_cannot_propose(propose: Propose, approver: User) -> None:
    with pytest.raises(errors.NotDecider):
        propose(person=approver)


@pytest.mark.parametrize("role", ["auditor", "reviewer", "organisation_manager", "nobody"])
def test_others_can_neither_propose_nor_confirm(propose: Propose, role: str, request: pytest.FixtureRequest) -> None:
    person = request.getfixturevalue(role)
    with pytest.raises(errors.NotDecider):
        propose(person=person)
    decision = propose()
    with pytest.raises(errors.NotDecider):
        decision_confirm(person=person, decision=decision)
    with pytest.raises(errors.NotDecider):
        decision_reject(person=person, decision=decision, reason="no")


def test_a_member_of_the_organisation_can_neither_propose_nor_confirm(
    propose: Propose, organisation: Organisation, second_operator: User
) -> None:
    factories.member(second_operator, organisation)
    with pytest.raises(errors.ConflictOfInterest):
        propose(person=second_operator)
    decision = propose()
    with pytest.raises(errors.ConflictOfInterest):
        decision_confirm(person=second_operator, decision=decision)
    with pytest.raises(errors.ConflictOfInterest):
        decision_reject(person=second_operator, decision=decision, reason="no")


def test_who_joins_the_organisation_after_proposing_cannot_be_confirmed_any_more(
    propose: Propose, organisation: Organisation, operator: User, second_operator: User
) -> None:
    decision = propose()
    factories.member(operator, organisation)
    with pytest.raises(errors.ConflictOfInterest, match=r"Send it back|trả lại"):
        decision_confirm(person=second_operator, decision=decision)
    decision_reject(person=second_operator, decision=decision, reason="x")
    assert Application.objects.get().state == "submitted"


# --- the budget ---------------------------------------------------------------------------------------------------


def test_an_award_beyond_the_free_budget_is_refused_with_the_figures(
    application: Application, operator: User, programme: Programme
) -> None:
    Application.objects.update(gpu_hours=5_000)
    application.refresh_from_db()
    with pytest.raises(PoolTooSmall) as refused:
        decision_propose(
            person=operator,
            application=application,
            outcome="award",
            awarded_gpu_hours=1_001,
            cluster="local",
            reason="x",
        )
    assert (refused.value.free_gpu_seconds, refused.value.needed_gpu_seconds) == (1_000 * HOUR, 1_001 * HOUR)
    assert Application.objects.get().state == "submitted"


def test_the_ledger_decides_when_another_award_was_quicker(
    propose: Propose,
    organisation: Organisation,
    organisation_manager: User,
    programme: Programme,
    operator: User,
    second_operator: User,
) -> None:
    slow = propose()
    other = submit(organisation_manager, organisation, programme, gpu_hours=700)
    quick = decision_propose(
        person=operator,
        application=other,
        outcome="award",
        awarded_gpu_hours=700,
        cluster="local",
        reason="x",
    )
    decision_confirm(person=second_operator, decision=quick)
    with pytest.raises(PoolTooSmall) as refused:
        decision_confirm(person=second_operator, decision=slow)
    assert (refused.value.free_gpu_seconds, refused.value.needed_gpu_seconds) == (300 * HOUR, 400 * HOUR)
    assert Allocation.objects.count() == 1
    assert Project.objects.count() == 1
    slow.refresh_from_db()
    assert (slow.confirmed_by, slow.state, Application.objects.get(pk=slow.application_id).state) == (
        [],
        "proposed",
        "proposed",
    )


# --- states -------------------------------------------------------------------------------------------------------


def test_a_decision_sent_back_can_be_proposed_again_and_stays_on_record(
    propose: Propose, operator: User, approver: User
) -> None:
    first = propose()
    decision_reject(person=approver, decision=first, reason="Too much for a first award.")
    assert Application.objects.get().state == "submitted"
    second = propose(application=Application.objects.get(), awarded_gpu_hours=100)
    first.refresh_from_db()
    assert first.proposal.sent_back_by == approver
    assert decision_confirm(person=approver, decision=second).awarded_gpu_seconds == 100 * HOUR
    assert Decision.objects.count() == 2


def test_a_decision_that_was_sent_back_cannot_be_confirmed(propose: Propose, second_operator: User) -> None:
    stale = propose()
    decision_reject(person=second_operator, decision=stale, reason="no")
    propose(application=Application.objects.get(), awarded_gpu_hours=1)
    with pytest.raises(WrongState):
        decision_confirm(person=second_operator, decision=stale)
    assert not Allocation.objects.exists()


def test_a_decision_is_confirmed_once(propose: Propose, second_operator: User, approver: User) -> None:
    decision = propose()
    decision_confirm(person=second_operator, decision=decision)
    with pytest.raises(WrongState):
        decision_confirm(person=approver, decision=decision)
    assert Voucher.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_who_confirm_at_once_make_one_award(propose: Propose, second_operator: User, approver: User) -> None:
    decision = propose()

    def confirm(person: User) -> str:
        try:
            decision_confirm(person=person, decision=Decision.objects.get(pk=decision.pk))
        except WrongState:
            return "too late"
        finally:
            connection.close()
        return "confirmed"

    with ThreadPoolExecutor(max_workers=2) as pool:
        assert sorted(pool.map(confirm, [second_operator, approver])) == ["confirmed", "too late"]
    assert (Voucher.objects.count(), Allocation.objects.count(), Project.objects.count()) == (1, 1, 1)


def test_an_application_is_proposed_once(propose: Propose, second_operator: User) -> None:
    propose()
    with pytest.raises(WrongState):
        propose(person=second_operator)


def test_a_withdrawn_application_cannot_be_decided(
    propose: Propose, application: Application, organisation_manager: User, second_operator: User
) -> None:
    decision = propose()
    application_withdraw(person=organisation_manager, application=application)
    with pytest.raises(WrongState):
        decision_confirm(person=second_operator, decision=decision)
    with pytest.raises(WrongState):
        propose()


def test_an_awarded_application_cannot_be_withdrawn(
    propose: Propose, application: Application, organisation_manager: User, second_operator: User
) -> None:
    decision_confirm(person=second_operator, decision=propose())
    with pytest.raises(WrongState):
        application_withdraw(person=organisation_manager, application=application)


def test_only_its_organisations_managers_withdraw_it(application: Application, outsider: User, operator: User) -> None:
    for person in (outsider, operator):
        with pytest.raises(NotManager):
            application_withdraw(person=person, application=application)


def test_an_award_after_the_period_is_refused(propose: Propose, second_operator: User) -> None:
    decision = propose()
    past = centre_date(now()) - timedelta(days=1)
    Application.objects.update(starts_on=past, ends_on=past)
    decision.application.refresh_from_db()
    with pytest.raises(errors.AwardRefused):
        decision_confirm(person=second_operator, decision=decision)


def test_an_award_to_an_applicant_who_left_is_refused(
    propose: Propose, organisation: Organisation, organisation_manager: User, second_operator: User
) -> None:
    decision = propose()
    factories.member(factories.person("mai@sao-mai.example", "Mai"), organisation, Membership.Role.MANAGER)
    membership_remove(organisation=organisation, user=organisation_manager, role="manager")
    with pytest.raises(errors.AwardRefused):
        decision_confirm(person=second_operator, decision=decision)
    assert not Project.objects.exists()
