"""Writing, field by field, by several people; submitting, returning, withdrawing."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from django.core.mail import EmailMessage
from django.db import connection
from pytest_django.fixtures import Settings

from portal.clock import centre_date, now
from portal.files.errors import FileTypeRefused
from portal.files.models import StoredFile
from portal.outbox.models import Message
from portal.outbox.services import messages_deliver
from portal.people.models import Organisation, User
from portal.people.services import membership_remove
from quotas.applications import errors
from quotas.applications.grace import GRACE
from quotas.applications.models import Answer, Application, Attachment, Comment, Submission
from quotas.applications.selectors import answer_values, application_list, questions_newer, shown_to
from quotas.applications.services import (
    answer_save,
    answers_save,
    application_begin,
    application_return,
    application_withdraw,
    attachment_add,
    comment_resolve,
    draft_submit,
    questions_adopt,
    writer_add,
)
from quotas.applications.timeline import timeline_of
from quotas.programmes.models import Call, Programme
from quotas.programmes.services import questions_publish
from quotas.programmes.terms import Terms
from tests import factories
from tests.portal.files.making import upload
from tests.quotas import makers
from tests.quotas.applications.conftest import submit

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def media(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = str(tmp_path / "media")


def problems(person: User, application: Application) -> dict[str, str]:
    with pytest.raises(errors.Incomplete) as refused:
        draft_submit(person=person, application=application)
    return {one.key: one.message for one in refused.value.problems}


# --- field by field -------------------------------------------------------------------------------------------------


def test_a_field_is_saved_with_who_and_when(draft: Application, organisation_manager: User) -> None:
    saved = answer_save(person=organisation_manager, application=draft, key="parameters", text="7B", version=0)
    assert (saved.value, saved.version, saved.edited_by) == (7_000_000_000, 1, organisation_manager)


def test_of_two_who_edit_one_field_the_second_is_shown_both_texts(
    draft: Application, organisation_manager: User, organisation_member: User
) -> None:
    writer_add(person=organisation_manager, application=draft, user=organisation_member)
    answer_save(person=organisation_manager, application=draft, key="purpose", text="Của Lan", version=0)
    with pytest.raises(errors.EditedMeanwhile) as refused:
        answer_save(person=organisation_member, application=draft, key="purpose", text="Của Thảo", version=0)
    assert (refused.value.answer.value, refused.value.text) == ("Của Lan", "Của Thảo")
    assert answer_values(draft)["purpose"] == "Của Lan"
    answer_save(person=organisation_member, application=draft, key="purpose", text="Của Thảo", version=1)
    assert answer_values(draft)["purpose"] == "Của Thảo"


def test_saving_what_stands_there_changes_nothing(draft: Application, organisation_manager: User) -> None:
    for _time in range(2):
        answer_save(person=organisation_manager, application=draft, key="purpose", text="Như nhau", version=0)
    assert Answer.objects.get(key="purpose").version == 1


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("project_title", "ab"),
        ("project_title", "two\nlines"),
        ("project_title", 'x"; touch /tmp/x'),
        ("purpose", "nul \x00"),
        ("purpose", "x" * 10_001),
        ("sector", "weapons"),
        ("gpu_type", "b200"),
        ("gpu_hours", "0"),
        ("gpu_hours", "1,5"),
        ("gpu_hours", "99999999999999999999"),
        ("gpu_hours", "viele"),
        ("starts_on", "31/02/2026"),
        ("parameters", "-7B"),
        ("q.q2", "1001"),
        ("q.q3", "neither"),
        ("q.q4", "not a file"),
        ("q.unknown", "x"),
        ("no_such_field", "x"),
    ],
)
def test_bad_input_names_its_field_and_writes_nothing(
    draft: Application, organisation_manager: User, key: str, text: str
) -> None:
    with pytest.raises(errors.Invalid) as refused:
        answer_save(person=organisation_manager, application=draft, key=key, text=text)
    assert refused.value.field == key
    assert not Answer.objects.exists()


def test_others_do_not_write(draft: Application, outsider: User, operator: User, organisation_member: User) -> None:
    for person in (outsider, operator, organisation_member):
        with pytest.raises(errors.NotWriter):
            answer_save(person=person, application=draft, key="purpose", text="x")


def test_a_writer_who_leaves_the_organisation_writes_no_more(
    draft: Application, organisation: Organisation, organisation_manager: User, organisation_member: User
) -> None:
    writer_add(person=organisation_manager, application=draft, user=organisation_member)
    answer_save(person=organisation_member, application=draft, key="purpose", text="x")
    membership_remove(organisation=organisation, user=organisation_member, role="member")
    with pytest.raises(errors.NotWriter):
        answer_save(person=organisation_member, application=draft, key="purpose", text="y")


def test_a_draft_does_not_exist_for_the_centre(draft: Application, operator: User, auditor: User) -> None:
    assert not application_list(operator).exists()
    assert not application_list(auditor).exists()


# --- submitting -----------------------------------------------------------------------------------------------------


def test_everything_that_is_missing_is_listed(draft: Application, organisation_manager: User) -> None:
    found = problems(organisation_manager, draft)
    assert {"project_title", "purpose", "parameters", "risk_area", "open_use", "q.q1", "gpu_hours"} <= set(found)
    assert not {"base_model", "open_plan", "q.q2", "q.q4", "risk_narrow_task"} & set(found)


def test_submitting_keeps_the_whole_and_fills_what_decisions_need(
    complete: Application, organisation_manager: User
) -> None:
    made = draft_submit(person=organisation_manager, application=complete)
    made.refresh_from_db()
    assert (made.state, made.gpu_hours, made.gpu_type, made.sector) == ("submitted", 500, "h100", "education")
    assert (made.risk_tier, made.applicant) == ("limited", organisation_manager)
    kept = Submission.objects.get()
    assert (kept.number, kept.answers["q.q3"], kept.answers["parameters"]) == (1, "idea", 8_000_000_000)


def test_a_writer_does_not_submit(complete: Application, organisation_manager: User, organisation_member: User) -> None:
    writer_add(person=organisation_manager, application=complete, user=organisation_member)
    with pytest.raises(errors.NotManager):
        draft_submit(person=organisation_member, application=complete)


@pytest.mark.django_db(transaction=True)
def test_two_who_submit_at_once_submit_once(complete: Application, organisation_manager: User) -> None:
    def send(_number: int) -> str:
        try:
            draft_submit(person=organisation_manager, application=Application.objects.get(pk=complete.pk))
        except errors.WrongState:
            return "too late"
        finally:
            connection.close()
        return "submitted"

    with ThreadPoolExecutor(max_workers=2) as pool:
        assert sorted(pool.map(send, range(2))) == ["submitted", "too late"]
    assert Submission.objects.count() == 1
    assert Message.objects.filter(topic="applications.moved").count() == 1


def test_nothing_is_saved_after_submitting(submitted: Application, organisation_manager: User) -> None:
    with pytest.raises(errors.WrongState):
        answer_save(person=organisation_manager, application=submitted, key="purpose", text="x")


@pytest.mark.parametrize(
    ("terms", "key"),
    [
        (Terms(shares={"university": 10_000}), ""),
        (Terms(shares=makers.SHARES, largest_award_gpu_hours=499), "gpu_hours"),
        (Terms(shares=makers.SHARES, largest_award_vnd=500 * 60_000 - 1), "gpu_hours"),
    ],
)
def test_the_programmes_rules_are_said_beside_the_field(
    complete: Application, organisation_manager: User, programme: Programme, terms: Terms, key: str
) -> None:
    makers.tariff()
    programme.shares.all().delete()
    for kind, share in terms.shares.items():
        programme.shares.create(organisation_kind=kind, share_basis_points=share)
    Programme.objects.update(
        largest_award_gpu_hours=terms.largest_award_gpu_hours, largest_award_vnd=terms.largest_award_vnd
    )
    assert set(problems(organisation_manager, complete)) == {key}
    assert not Submission.objects.exists()


def test_an_organisation_with_too_many_open_vouchers_cannot_begin(
    organisation: Organisation, organisation_manager: User, programme: Programme, call: Call
) -> None:
    makers.award(factories.project("Cũ", "cu", of=organisation), programme)
    Programme.objects.update(open_vouchers_limit=1)
    call.refresh_from_db()
    with pytest.raises(errors.Invalid) as refused:
        application_begin(person=organisation_manager, organisation=organisation, call=call)
    assert refused.value.field == "organisation"


def test_an_organisation_that_is_not_verified_writes_but_does_not_submit(
    complete: Application, organisation: Organisation, organisation_manager: User
) -> None:
    Organisation.objects.update(verification="unverified")
    answer_save(person=organisation_manager, application=complete, key="purpose", text="vẫn viết được")
    assert set(problems(organisation_manager, complete)) == {""}


@pytest.mark.parametrize("key", ["risk_manipulates", "risk_scores_people", "risk_forbidden_biometrics"])
def test_what_article_5_forbids_is_said_beside_its_own_question(
    complete: Application, organisation_manager: User, key: str
) -> None:
    answers_save(person=organisation_manager, application=complete, texts={"risk_people_told": "yes", key: "yes"})
    assert set(problems(organisation_manager, complete)) == {key}


def test_the_days_are_checked_on_the_day(complete: Application, organisation_manager: User) -> None:
    yesterday = (centre_date(now()) - timedelta(days=1)).isoformat()
    answers_save(person=organisation_manager, application=complete, texts={"starts_on": yesterday})
    assert set(problems(organisation_manager, complete)) == {"starts_on"}


# --- a call that closes -----------------------------------------------------------------------------------------------


def test_a_draft_is_submitted_in_the_quarter_of_an_hour_after_the_call(
    complete: Application, call: Call, organisation_manager: User
) -> None:
    texts = {"starts_on": "2030-01-01", "ends_on": "2030-02-01"}
    answers_save(person=organisation_manager, application=complete, texts=texts)
    with time_machine.travel(call.closes_at + GRACE - timedelta(seconds=1), tick=False):
        assert draft_submit(person=organisation_manager, application=complete).state == "submitted"


def test_after_the_grace_nothing_is_submitted_and_nothing_is_lost(
    complete: Application, call: Call, organisation_manager: User, organisation: Organisation, programme: Programme
) -> None:
    with time_machine.travel(call.closes_at + GRACE, tick=False):
        with pytest.raises(errors.CallClosed):
            draft_submit(person=organisation_manager, application=complete)
        answer_save(person=organisation_manager, application=complete, key="purpose", text="vẫn viết được")
        with pytest.raises(errors.CallClosed):
            application_begin(person=organisation_manager, organisation=organisation, call=call)
        later = makers.call(programme, "dot-2")
        again = application_begin(person=organisation_manager, organisation=organisation, call=later, copy_of=complete)
    assert answer_values(again) == answer_values(complete)


# --- questions --------------------------------------------------------------------------------------------------------


def test_a_draft_keeps_its_questions_until_it_is_moved_over(
    complete: Application, call: Call, organisation_manager: User
) -> None:
    new = [one for one in makers.QUESTIONS if one["key"] != "q2"]
    new.append({"key": "q9", "label_vi": "Mới", "label_en": "New", "kind": "text"})
    questions_publish(call=call, questions=new, actor="test")
    newer = questions_newer(complete)
    assert newer is not None
    assert newer.version == 3
    moved = questions_adopt(person=organisation_manager, application=complete)
    assert questions_newer(moved) is None
    assert set(problems(organisation_manager, moved)) == {"q.q9"}
    assert answer_values(moved)["q.q1"] == "Văn bản công khai"


# --- returned and back ------------------------------------------------------------------------------------------------


def test_a_returned_application_is_changed_and_submitted_again(
    submitted: Application, organisation_manager: User, operator: User, call: Call
) -> None:
    application_return(
        person=operator, application=submitted, comments={"purpose": "Rõ hơn", "tokens": " "}, reason="Chưa rõ"
    )
    comment = Comment.objects.get()
    with time_machine.travel(now() + timedelta(days=13), tick=False):
        texts = {"purpose": "Rõ", "starts_on": (centre_date(now())).isoformat()}
        answers_save(person=organisation_manager, application=submitted, texts=texts)
        assert set(problems(organisation_manager, submitted)) == {""}  # the comment waits
        comment_resolve(person=organisation_manager, comment=comment)
        # What the centre reads stays as it was submitted until it is submitted again.
        assert shown_to(operator, submitted).answers["purpose"] != "Rõ"
        draft_submit(person=organisation_manager, application=submitted)
    assert shown_to(operator, submitted).answers["purpose"] == "Rõ"
    assert [one.number for one in submitted.submissions.all()] == [2, 1]


def test_after_its_days_a_returned_application_waits_for_the_centre(
    submitted: Application, organisation_manager: User, operator: User
) -> None:
    texts = {"starts_on": "2030-01-01", "ends_on": "2030-02-01"}
    application_return(person=operator, application=submitted, comments={}, reason="Chưa rõ")
    answers_save(person=organisation_manager, application=submitted, texts=texts)
    with time_machine.travel(now() + timedelta(days=15), tick=False):
        submitted.refresh_from_db()
        with pytest.raises(errors.CallClosed):
            draft_submit(person=organisation_manager, application=submitted)
        application_return(person=operator, application=submitted, comments={}, reason="Thêm thời gian")
        assert draft_submit(person=organisation_manager, application=submitted).state == "submitted"


def test_only_an_operator_without_an_interest_returns(
    submitted: Application, organisation: Organisation, operator: User, approver: User, auditor: User, outsider: User
) -> None:
    factories.member(operator, organisation)
    for person in (operator, approver, auditor, outsider):
        with pytest.raises(errors.NotReturner):
            application_return(person=person, application=submitted, comments={}, reason="x")


def test_a_draft_cannot_be_returned_and_a_comment_needs_a_field(
    draft: Application, application: Application, operator: User
) -> None:
    with pytest.raises(errors.WrongState):
        application_return(person=operator, application=draft, comments={}, reason="x")
    with pytest.raises(errors.Invalid) as refused:
        application_return(person=operator, application=application, comments={"nothing": "x"}, reason="x")
    assert refused.value.field == "nothing"


# --- the record -------------------------------------------------------------------------------------------------------


def test_every_step_is_on_the_record_and_mailed(
    complete: Application,
    english_manager: User,
    operator: User,
    organisation_member: User,
    mailoutbox: list[EmailMessage],
) -> None:
    writer_add(person=english_manager, application=complete, user=organisation_member)
    draft_submit(person=english_manager, application=complete)
    application_return(person=operator, application=complete, comments={"purpose": "Rõ hơn"}, reason="Chưa rõ")
    application_withdraw(person=english_manager, application=complete, reason="Không cần nữa")
    steps = timeline_of(complete, is_ours=True)
    assert [(step.person, step.why) for step in steps] == [
        (english_manager, "Không cần nữa"),
        (operator, "Chưa rõ"),
        (english_manager, ""),
        (english_manager, ""),
    ]
    assert messages_deliver(queue="default") == 6
    english = [mail for mail in mailoutbox if mail.to == [english_manager.email]]
    assert [mail.subject.partition(":")[0] for mail in english] == [
        "Application submitted",
        "Please change your application",
        "Application withdrawn",
    ]
    assert "Purpose:\nRõ hơn" in str(english[1].body)


def test_a_proposal_stays_inside_the_centre(application: Application, operator: User, second_operator: User) -> None:
    from quotas.reviews.services import decision_propose

    decision_propose(person=operator, application=application, outcome="refusal", reason="x")
    assert len(timeline_of(application, is_ours=False)) == 2
    assert len(timeline_of(application, is_ours=True)) == 3


# --- attachments ------------------------------------------------------------------------------------------------------


def test_what_is_no_pdf_is_refused_and_nothing_is_stored(draft: Application, organisation_manager: User) -> None:
    with pytest.raises(FileTypeRefused):
        attachment_add(person=organisation_manager, application=draft, upload=upload(b"<html>", "x.pdf"))
    assert not Attachment.objects.exists()
    assert not StoredFile.objects.exists()


def test_a_question_has_one_file(draft: Application, organisation_manager: User) -> None:
    for _time in range(2):
        attachment_add(person=organisation_manager, application=draft, upload=upload(), key="q.q4")
    assert draft.attachments.filter(removed_at__isnull=True).count() == 1


def test_an_application_without_a_call_asks_for_the_request_only(
    organisation: Organisation, organisation_manager: User, programme: Programme
) -> None:
    made = submit(organisation_manager, organisation, programme)
    assert (made.state, made.call, made.risk_tier) == ("submitted", None, "")
