"""Programmes, tariffs and calls on the site: for anybody, and for the operators who run them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from portal.clock import centre_date, centre_zone, now
from portal.people.models import User
from quotas.programmes.models import Call, Programme
from quotas.programmes.selectors import budget_of
from quotas.programmes.services import imported_programme_ensure
from quotas.programmes.terms import Terms, terms_of
from quotas.proposals.models import Proposal
from tests.quotas import makers
from tests.quotas.makers import HOUR

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], Client]


@pytest.fixture
def programme(db: None) -> Programme:
    return makers.programme(vnd=5_000_000_000)


@pytest.fixture
def an(client_of: ClientOf, operator: User) -> Client:
    """The operator's browser, in English."""
    client = client_of(operator)
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    return client


def text(client: Client, name: str, *args: object) -> str:
    return str(client.get(reverse(name, args=args)).content.decode())


# --- for anybody ------------------------------------------------------------------------------------------------------


def test_a_stranger_reads_programmes_calls_and_tariffs_in_both_languages(programme: Programme) -> None:
    call = makers.call(programme)
    makers.tariff("h100", 60_000)
    client = Client()
    for language, words in (
        ("vi", ["Đang nhận hồ sơ", "5.000.000.000", "80\xa0%", "Mô tả dữ liệu", "60.000"]),
        ("en", ["Takes applications", "5,000,000,000", "80\xa0%", "Describe the data", "60,000"]),
    ):
        client.cookies[settings.LANGUAGE_COOKIE_NAME] = language
        pages = (
            text(client, "programmes:list")
            + text(client, "programmes:programme", programme.slug)
            + text(client, "programmes:call", call.slug)
            + text(client, "programmes:tariffs")
        )
        for word in words:
            assert word in pages, (language, word)
        assert reverse("account_login") in pages
        assert reverse("programmes:questions", args=[call.slug]) not in pages


def test_imported_history_is_no_programme_for_strangers(client_of: ClientOf, auditor: User) -> None:
    imported = imported_programme_ensure(gpu_types=["h100"], actor="test")
    assert imported.name not in text(Client(), "programmes:list")
    assert imported.name in text(client_of(auditor), "programmes:list")
    assert client_of(auditor).get(reverse("programmes:programme", args=[imported.slug])).status_code == 404


@pytest.mark.parametrize(
    ("opens", "closes", "word"), [(1, 2, "Announced"), (-1, 1, "Takes applications"), (-2, -1, "Closed")]
)
def test_a_call_says_whether_it_is_open(programme: Programme, opens: int, closes: int, word: str) -> None:
    call = makers.call(programme)
    Call.objects.update(opens_at=now() + timedelta(days=opens), closes_at=now() + timedelta(days=closes))
    client = Client()
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    page = text(client, "programmes:call", call.slug)
    assert word in page
    assert ("Log in to apply" in page) == (word == "Takes applications")


def test_a_manager_is_led_to_the_application_of_this_call(
    client_of: ClientOf, programme: Programme, organisation_manager: User
) -> None:
    call = makers.call(programme)
    assert f"?call={call.slug}" in text(client_of(organisation_manager), "programmes:call", call.slug)


# --- programmes -------------------------------------------------------------------------------------------------------


def test_an_operator_makes_a_programme_with_its_rules(an: Client) -> None:
    given = {
        "name": "Phiếu hỗ trợ 2027",
        "slug": "phieu-2027",
        "starts_on": "2027-01-01",
        "ends_on": "2027-12-31",
        "summary_vi": "Giới thiệu",
        "share_startup": "80",
        "share_university": "33.33",
        "largest_award_vnd": "2.000.000.000",
        "clawback_on": "2027-06-30",
        "clawback_basis_points": "50",
    }
    response = an.post(reverse("programmes:new"), given)
    assert response.headers["Location"] == reverse("programmes:programme", args=["phieu-2027"])
    assert terms_of(Programme.objects.get()) == Terms(
        shares={"startup": 8_000, "university": 3_333},
        largest_award_vnd=2_000_000_000,
        clawback_on=datetime(2027, 6, 30, tzinfo=UTC).date(),
        clawback_basis_points=5_000,
    )


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"slug": "tariffs"}, "Use lower-case letters"),
        ({"ends_on": "2026-01-01"}, "The last day cannot come before the first."),
        ({"share_startup": "101"}, "less than or equal to 100"),
        ({"largest_award_vnd": "1.5"}, "Write a whole number."),
        ({"clawback_basis_points": "10"}, "Give both the day and the share"),
    ],
    ids=str,
)
def test_a_wrong_programme_is_refused_beside_its_field(an: Client, wrong: dict[str, str], words: str) -> None:
    fine = {"name": "N", "slug": "n", "starts_on": "2027-01-01", "ends_on": "2027-12-31"}
    response = an.post(reverse("programmes:new"), fine | wrong)
    assert response.status_code == 422
    assert words in response.content.decode()
    assert not Programme.objects.exists()


def rules_of(programme: Programme) -> dict[str, Any]:
    return {f"share_{kind}": str(share // 100) for kind, share in terms_of(programme).shares.items()}


def test_the_rules_of_a_programme_with_a_budget_change_through_a_proposal(an: Client, programme: Programme) -> None:
    url = reverse("programmes:rules", args=[programme.slug])
    given = rules_of(programme) | {"share_startup": "100", "reason": "Thông tư mới"}
    an.post(url, given)
    assert terms_of(programme).shares["startup"] == 8_000
    proposal = Proposal.objects.get()
    page = text(an, "proposals:detail", proposal.pk)
    assert "80\xa0% → 100\xa0%" in page
    assert "University" not in page  # only what differs
    makers.approved(proposal)
    assert terms_of(Programme.objects.get()).shares["startup"] == 10_000
    assert an.post(url, rules_of(programme) | {"reason": ""}).status_code == 422


def test_the_rules_of_one_without_change_at_once(an: Client) -> None:
    empty = makers.programme("empty", h100_hours=0)
    an.post(reverse("programmes:rules", args=[empty.slug]), rules_of(empty) | {"share_sme": ""})
    assert "sme" not in terms_of(empty).shares
    assert not Proposal.objects.exists()


def test_a_budget_is_proposed_and_approved_by_another(
    an: Client, client_of: ClientOf, programme: Programme, approver: User
) -> None:
    url = reverse("programmes:budget", args=[programme.slug])
    given = {"direction": "add", "vnd": "1.000.000.000", "gpu_hours": "2,000", "gpu_type": "h200", "reason": "Đợt 2"}
    response = an.post(url, given)
    proposal = Proposal.objects.get()
    assert response.headers["Location"] == reverse("proposals:detail", args=[proposal.pk])
    assert proposal.facts["gpu_seconds"] == {"h200": 2_000 * HOUR}
    assert budget_of(programme).free_vnd == 5_000_000_000
    assert "waits for another person" in text(an, "programmes:programme", programme.slug)
    client_of(approver).post(reverse("proposals:approve", args=[proposal.pk]))
    assert budget_of(programme).free_vnd == 6_000_000_000
    an.post(url, {"direction": "take", "vnd": "9.000.000.000", "reason": "x"})
    too_much = Proposal.objects.get(state="waiting")
    page = client_of(approver).post(reverse("proposals:approve", args=[too_much.pk]), follow=True).content.decode()
    assert "6.000.000.000" in page


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"vnd": ""}, "Give an amount"),
        ({"gpu_hours": "5"}, "Say of which type."),
        ({"gpu_type": "h100"}, "Say how many."),
        ({"gpu_type": "H 100", "gpu_hours": "5"}, "Write the GPU type"),
        ({"vnd": "1", "reason": ""}, "This field is required."),
    ],
    ids=str,
)
def test_a_wrong_budget_is_refused_beside_its_field(
    an: Client, programme: Programme, given: dict[str, str], words: str
) -> None:
    response = an.post(reverse("programmes:budget", args=[programme.slug]), {"direction": "add", "reason": "x"} | given)
    assert response.status_code == 422
    assert words in response.content.decode()


# --- tariffs ----------------------------------------------------------------------------------------------------------


def test_a_tariff_is_proposed_and_its_history_stays(an: Client) -> None:
    makers.tariff("h100", 60_000)
    day = centre_date(now()) + timedelta(days=5)
    given = {"gpu_type": "h100", "vnd_per_gpu_hour": "75,000", "valid_from": day.isoformat(), "reason": "Giá điện"}
    an.post(reverse("programmes:tariff_new"), given)
    page = text(an, "programmes:tariffs")
    assert "75,000" not in page
    assert "waits for another person" in page
    makers.approved(Proposal.objects.get(state="waiting"))
    page = text(an, "programmes:tariffs")
    for word in ("60,000", "In force", "75,000", "Announced"):
        assert word in page
    response = an.post(reverse("programmes:tariff_new"), given | {"valid_from": "2026-01-01"})
    assert "A tariff cannot begin in the past." in response.content.decode()


# --- calls ------------------------------------------------------------------------------------------------------------


def test_a_calls_times_are_the_centres_on_the_page_and_utc_in_the_database(an: Client, programme: Programme) -> None:
    day = centre_date(now()) + timedelta(days=3)
    given = {
        "title": "Đợt 1",
        "slug": "dot-1",
        "opens_at": f"{day}T08:00",
        "closes_at": f"{day + timedelta(days=30)}T00:00",
        "reviews_needed": "3",
    }
    response = an.post(reverse("programmes:call_new", args=[programme.slug]), given)
    assert response.headers["Location"] == reverse("programmes:call", args=["dot-1"])
    call = Call.objects.get()
    assert call.opens_at == datetime(day.year, day.month, day.day, 8, tzinfo=centre_zone())
    assert call.opens_at.astimezone(UTC).hour == 1
    assert f'value="{day}T08:00"' in text(an, "programmes:call_edit", "dot-1")
    same = {name: given[name] for name in ("title", "opens_at", "closes_at", "reviews_needed")}
    assert an.post(reverse("programmes:call_edit", args=["dot-1"]), same | {"title": "Tên khác"}).status_code == 302
    assert Call.objects.get().title == "Tên khác"


def test_an_open_call_is_renamed_though_its_form_knows_only_minutes(an: Client, programme: Programme) -> None:
    """The seconds of a beginning that a script made are not on the page: sending it back unchanged changes nothing."""
    call = makers.call(programme)
    page = text(an, "programmes:call_edit", call.slug)
    shown = {
        name: page.split(f'name="{name}"')[1].split('value="')[1].split('"')[0] for name in ("opens_at", "closes_at")
    }
    given = {"title": "Tên khác", "reviews_needed": "2"} | shown
    assert an.post(reverse("programmes:call_edit", args=[call.slug]), given).status_code == 302
    after = Call.objects.get()
    assert (after.title, after.opens_at, after.closes_at) == ("Tên khác", call.opens_at, call.closes_at)


def test_a_wrong_call_is_refused_beside_its_field(an: Client, programme: Programme) -> None:
    call = makers.call(programme)
    day = centre_date(now()) + timedelta(days=3)
    new = reverse("programmes:call_new", args=[programme.slug])
    given = {"title": "Đợt", "opens_at": f"{day}T08:00", "closes_at": f"{day}T09:00", "reviews_needed": "2"}
    for url, wrong, words in (
        (new, {"slug": call.slug}, "exists already"),
        (new, {"slug": "a", "closes_at": f"{day}T07:00"}, "A call closes"),
        (reverse("programmes:call_edit", args=[call.slug]), {}, "has opened already"),
    ):
        response = an.post(url, given | wrong)
        assert response.status_code == 422
        assert words in response.content.decode()
