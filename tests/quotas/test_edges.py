"""The moments that everybody asks about, on the page and in both languages: each is refused, or settled, with a
sentence that says what happened and what is left to do.

A job that runs while its allocation ends: tests/scheduler/settlement/test_real_ending.py.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.conf import settings as portal_settings
from django.test import Client
from django.urls import reverse

from portal.clock import centre_date, now
from portal.people.models import Membership, Organisation, User
from quotas.allocations.models import Voucher
from quotas.applications.grace import GRACE
from quotas.applications.models import Application
from quotas.applications.selectors import answer_values
from quotas.applications.services import answers_save, draft_submit
from quotas.programmes.models import Call, Programme
from quotas.programmes.services import money_fund, tariff_propose
from quotas.programmes.terms import Terms
from quotas.proposals.models import Proposal
from quotas.reviews.models import Decision
from quotas.reviews.services import decision_confirm, decision_propose
from tests import factories
from tests.quotas import makers
from tests.quotas.applications.conftest import (  # noqa: F401  the same ones
    application,
    call,
    complete,
    draft,
    programme,
    submit,
)
from tests.quotas.applications.test_pages import stamp_of

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], Client]
Speaking = Callable[..., Client]
HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
BOTH = pytest.mark.parametrize("language", ["vi", "en"])


@pytest.fixture
def speaking(client_of: ClientOf) -> Speaking:
    """A browser of the person in a language: `speaking(operator, "en")`."""

    def make(person: User, language: str) -> Client:
        client = client_of(person)
        client.cookies[portal_settings.LANGUAGE_COOKIE_NAME] = language
        return client

    return make


def said(response: Any) -> str:
    return " ".join(response.content.decode().split())


def page(of: Application, name: str, *more: object) -> str:
    return reverse(f"applications:{name}", args=[of.pk, *more])


# --- a call that closes while a form is open --------------------------------------------------------------------------


@BOTH
def test_a_call_closes_while_a_form_is_open(
    complete: Application,  # noqa: F811
    call: Call,  # noqa: F811
    organisation_manager: User,
    speaking: Speaking,
    language: str,
) -> None:
    words = {
        "vi": ("Đợt mở đã đóng lúc", "vẫn nộp được đến", "15 phút sau đó cũng đã hết", "có thể đưa sang đợt mở khác"),
        "en": (
            "The call closed at",
            "can still be submitted until",
            "the 15 minutes after it are over",
            "you can take it over into another call",
        ),
    }[language]
    with time_machine.travel(call.closes_at + timedelta(minutes=1), tick=False):
        client = speaking(organisation_manager, language)
        shown = said(client.get(page(complete, "section", "review")))
        assert [word for word in words[:2] if word not in shown] == []
    with time_machine.travel(call.closes_at + GRACE, tick=False):
        client = speaking(organisation_manager, language)
        stamp = stamp_of(client.get(page(complete, "section", "project")), "purpose")
        typed = {"purpose": "gõ tiếp", "stamp-purpose": stamp}
        saved = client.post(page(complete, "field", "purpose"), typed, headers={"HX-Request": "true"})
        assert saved.status_code == 200
        shown = said(client.post(page(complete, "submit"), follow=True))
        assert [word for word in words[2:] if word not in shown] == []
    complete.refresh_from_db()
    assert (complete.state, answer_values(complete)["purpose"]) == ("draft", "gõ tiếp")


# --- two people submit at once ----------------------------------------------------------------------------------------


@BOTH
def test_the_second_of_two_managers_learns_that_it_was_submitted(
    complete: Application,  # noqa: F811
    organisation: Organisation,
    organisation_manager: User,
    speaking: Speaking,
    language: str,
) -> None:
    other = factories.person("mai@sao-mai.example", "Mai")
    factories.member(other, organisation, Membership.Role.MANAGER)
    client = speaking(other, language)
    assert client.get(page(complete, "section", "review")).status_code == 200
    draft_submit(person=organisation_manager, application=complete)
    words = {"vi": "Hồ sơ này đã được nộp rồi.", "en": "The application was submitted already."}[language]
    assert words in said(client.post(page(complete, "submit"), follow=True))
    assert complete.submissions.get().submitted_by == organisation_manager


# --- awards above the budget ------------------------------------------------------------------------------------------


def propose(client: Client, of: Application, hours: int) -> Any:
    given = {"outcome": "award", "awarded_gpu_hours": hours, "cluster": "local", "reason": "Đúng ưu tiên."}
    return client.post(reverse("reviews:propose", args=[of.pk]), given)


def asking(of: Application, hours: int) -> Application:
    Application.objects.filter(pk=of.pk).update(gpu_hours=hours)
    return Application.objects.get(pk=of.pk)


def nothing_was_proposed(of: Application) -> bool:
    of.refresh_from_db()
    return of.state == "submitted" and not Proposal.objects.filter(kind="award").exists()


@BOTH
def test_an_award_of_more_hours_than_the_budget_has(
    application: Application,  # noqa: F811
    operator: User,
    speaking: Speaking,
    language: str,
) -> None:
    response = propose(speaking(operator, language), asking(application, 5_000), 1_001)
    words = {
        "vi": "còn 1.000 giờ GPU H100, trong khi việc này cần 1.001.",
        "en": "has 1,000 H100 GPU-hours left; this needs 1,001.",
    }[language]
    assert response.status_code == 422
    assert words in said(response)
    assert nothing_was_proposed(application)


@BOTH
def test_an_award_of_more_money_than_the_budget_has(
    application: Application,  # noqa: F811
    programme: Programme,  # noqa: F811
    operator: User,
    speaking: Speaking,
    language: str,
) -> None:
    makers.tariff("h100", 60_000)
    money_fund(programme=programme, amount_vnd=1_000_000, actor="test")
    response = propose(speaking(operator, language), application, 100)
    words = {
        "vi": "còn 1.000.000 VND, trong khi phần Nhà nước của phiếu này là 4.800.000 VND.",
        "en": "has 1,000,000 VND left; the state&#x27;s share of this is 4,800,000 VND.",
    }[language]
    assert response.status_code == 422
    assert words in said(response)
    assert nothing_was_proposed(application)


@BOTH
def test_the_budget_was_awarded_to_others_meanwhile(
    application: Application,  # noqa: F811
    programme: Programme,  # noqa: F811
    organisation: Organisation,
    organisation_manager: User,
    operator: User,
    second_operator: User,
    speaking: Speaking,
    language: str,
) -> None:
    slow = proposed(operator, application, 400)
    other = submit(organisation_manager, organisation, programme, gpu_hours=700)
    decision_confirm(person=second_operator, decision=proposed(operator, other, 700))
    url = reverse("reviews:confirm", args=[application.pk, slow.pk])
    words = {
        "vi": "còn 300 giờ GPU H100, trong khi việc này cần 400.",
        "en": "has 300 H100 GPU-hours left; this needs 400.",
    }[language]
    assert words in said(speaking(second_operator, language).post(url, follow=True))
    slow.refresh_from_db()
    assert (slow.state, Voucher.objects.count()) == ("proposed", 1)


@BOTH
def test_a_programme_with_money_awards_nothing_that_has_no_tariff(
    application: Application,  # noqa: F811
    programme: Programme,  # noqa: F811
    operator: User,
    second_operator: User,
    speaking: Speaking,
    language: str,
) -> None:
    """The money came after the proposal; and a new proposal is refused at once."""
    decision = proposed(operator, application, 10)
    money_fund(programme=programme, amount_vnd=10**9, actor="test")
    words = {"vi": "Không có biểu giá cho H100", "en": "There is no tariff for H100"}[language]
    url = reverse("reviews:confirm", args=[application.pk, decision.pk])
    assert words in said(speaking(second_operator, language).post(url, follow=True))
    decision.refresh_from_db()
    assert decision.state == "proposed"
    back = reverse("reviews:send_back", args=[application.pk, decision.pk])
    speaking(second_operator, language).post(back, {"reason": "x"})
    response = propose(speaking(operator, language), application, 10)
    assert response.status_code == 422
    assert words in said(response)
    assert not Voucher.objects.exists()


def proposed(person: User, of: Application, hours: int) -> Decision:
    return decision_propose(
        person=person, application=of, outcome="award", awarded_gpu_hours=hours, cluster="local", reason="x"
    )


# --- a tariff that changes between application and award --------------------------------------------------------------


def dearer_from_tomorrow() -> None:
    makers.approved(
        tariff_propose(
            gpu_type="h100",
            vnd_per_gpu_hour=90_000,
            valid_from=centre_date(now()) + timedelta(days=1),
            reason="test",
            person=makers.decider("a"),
        )
    )


def test_an_award_costs_the_tariff_of_its_own_day_not_of_the_application(
    application: Application,  # noqa: F811
    programme: Programme,  # noqa: F811
    operator: User,
    second_operator: User,
) -> None:
    makers.tariff("h100", 60_000)
    money_fund(programme=programme, amount_vnd=10**9, actor="test")
    decision = proposed(operator, application, 100)
    assert decision.amount_vnd == 6_000_000
    dearer_from_tomorrow()
    with time_machine.travel(now() + timedelta(days=1), tick=False):
        decision = decision_confirm(person=second_operator, decision=decision)
    voucher = Voucher.objects.get()
    assert (voucher.tariff_vnd_per_gpu_hour, voucher.face_vnd) == (90_000, 9_000_000)
    assert (voucher.state_share_vnd, voucher.own_share_vnd) == (7_200_000, 1_800_000)


@BOTH
def test_an_award_that_became_dearer_than_two_people_may_decide(
    application: Application,  # noqa: F811
    programme: Programme,  # noqa: F811
    operator: User,
    second_operator: User,
    speaking: Speaking,
    language: str,
) -> None:
    makers.tariff("h100", 60_000)
    Programme.objects.update(three_person_above_vnd=8_000_000)
    application.programme.refresh_from_db()
    decision = proposed(operator, application, 100)
    dearer_from_tomorrow()
    words = {
        "vi": "Theo biểu giá hôm nay, khoản cấp này cần hai người phê duyệt. Hãy trả lại để đề xuất lại.",
        "en": "At today&#x27;s tariff this award needs two approvals. Send it back, so that it is proposed again.",
    }[language]
    with time_machine.travel(now() + timedelta(days=1), tick=False):
        url = reverse("reviews:confirm", args=[application.pk, decision.pk])
        assert words in said(speaking(second_operator, language).post(url, follow=True))
    decision.refresh_from_db()
    assert (decision.state, Voucher.objects.count()) == ("proposed", 0)


@BOTH
def test_the_request_shows_what_it_costs_today(
    complete: Application,  # noqa: F811
    organisation_manager: User,
    speaking: Speaking,
    language: str,
) -> None:
    makers.tariff("h100", 60_000)
    dearer_from_tomorrow()
    words = {
        "vi": ("đề nghị này trị giá 30.000.000 VND", "đề nghị này trị giá 45.000.000 VND"),
        "en": ("is worth 30,000,000 VND at today", "is worth 45,000,000 VND at today"),
    }[language]
    assert words[0] in said(speaking(organisation_manager, language).get(page(complete, "section", "request")))
    with time_machine.travel(now() + timedelta(days=1), tick=False):
        assert words[1] in said(speaking(organisation_manager, language).get(page(complete, "section", "request")))


# --- the turn of the year at UTC+7 ------------------------------------------------------------------------------------


@BOTH
def test_a_call_closes_at_midnight_of_the_centre_whatever_utc_says(
    organisation: Organisation,
    organisation_manager: User,
    speaking: Speaking,
    language: str,
) -> None:
    """Midnight in Hanoi is 17:00 of 31 December in London."""
    midnight = datetime(2027, 1, 1, tzinfo=HANOI)
    with time_machine.travel(midnight - timedelta(days=5), tick=False):
        of = makers.programme(terms=Terms(shares=makers.SHARES))
        makers.call(of, closes_at=midnight)
        makers.call(of, "dot-2", closes_at=midnight + timedelta(days=1))  # the page has a form for that one still
    words = {"vi": "Đợt này hiện không mở", "en": "This call is not open"}[language]
    given = {"organisation": organisation.pk, "call": "dot-1"}
    for moment, status in ((midnight - timedelta(seconds=1), 302), (midnight, 422)):
        with time_machine.travel(moment, tick=False):
            response = speaking(organisation_manager, language).post(reverse("applications:begin"), given)
            assert response.status_code == status
    assert words in said(response)
    with time_machine.travel(midnight - timedelta(seconds=1), tick=False):
        begun = Application.objects.get()
        answers_save(person=organisation_manager, application=begun, texts={"starts_on": "2026-12-31"})
    with time_machine.travel(midnight + timedelta(seconds=1), tick=False):
        shown = said(speaking(organisation_manager, language).get(page(begun, "section", "review")))
    past = {"vi": "Ngày bắt đầu không được ở trong quá khứ.", "en": "The first day cannot lie in the past."}[language]
    assert past in shown, "31 December is yesterday in Hanoi, and still today by UTC"
