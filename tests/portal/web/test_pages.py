import re
from collections.abc import Callable

import pytest
from django.conf import settings
from django.test import Client, RequestFactory, override_settings

from portal.clock import now
from portal.people.models import User
from portal.web import metrics, views
from portal.web.models import Heartbeat
from portal.web.registry import Cards, Navigation

ClientOf = Callable[[User], Client]


@pytest.mark.django_db
def test_a_stranger_reads_what_it_is_and_where_to_log_in(client: Client) -> None:
    page = client.get("/").content.decode()
    assert "/accounts/login/" in page
    assert '<html lang="vi">' in page


def test_a_person_without_rights_is_told_what_to_do(client_of: ClientOf, nobody: User) -> None:
    assert "Bạn chưa thuộc tổ chức nào" in client_of(nobody).get("/").content.decode()


def test_the_language_is_kept_in_the_browser_and_the_profile(client_of: ClientOf, nobody: User) -> None:
    client = client_of(nobody)
    response = client.post("/language/", {"language": "en", "next": "/?a=1"})
    assert response.headers["Location"] == "/?a=1"
    assert '<html lang="en">' in client.get("/").content.decode()
    nobody.refresh_from_db()
    assert nobody.language == "en"


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
@pytest.mark.django_db
def test_the_language_switch_leads_nowhere_else(client: Client, target: str) -> None:
    assert client.post("/language/", {"language": "en", "next": target}).headers["Location"] == "/"


@pytest.mark.django_db
def test_an_unknown_language_is_refused(client: Client) -> None:
    assert client.post("/language/", {"language": "xx"}).status_code == 404


@pytest.mark.django_db
def test_pages_carry_no_inline_style_or_script(client: Client, client_of: ClientOf, operator: User) -> None:
    inside = client_of(operator)
    pages = [client.get(url) for url in ("/", "/accounts/login/", "/nowhere/")]
    pages += [inside.get(url) for url in ("/", "/people/", f"/people/{operator.pk}/", "/audit/", "/organisations/")]
    for page in pages:
        text = page.content.decode()
        assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son[a-z]+=|https?://(?!www\.w3\.org)", text), (
            page
        )
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize(("language", "words"), [("vi", "Trang này không tồn tại"), ("en", "This page does not exist")])
@pytest.mark.django_db
def test_a_page_that_is_not_there_says_so_in_both_languages(client: Client, language: str, words: str) -> None:
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = language
    page = client.get("/nowhere/")
    assert page.status_code == 404
    assert words in page.content.decode()


@pytest.mark.parametrize(("language", "words"), [("vi", "Có lỗi từ phía hệ thống"), ("en", "Something broke")])
def test_page_500_needs_no_database(language: str, words: str) -> None:
    from django.utils import translation

    with translation.override(language):
        page = views.server_error(RequestFactory().get("/"))  # no database fixture: a query would fail the test
    assert page.status_code == 500
    assert words in page.content.decode()


@pytest.mark.django_db
def test_a_form_without_its_token_is_refused_in_words(client_of: ClientOf, nobody: User) -> None:
    client = Client(enforce_csrf_checks=True)
    page = client.post("/language/", {"language": "en"})
    assert page.status_code == 403
    assert "Biểu mẫu đã quá cũ" in page.content.decode()


# --- health and metrics -------------------------------------------------------------------------------------------


@pytest.fixture
def _redis_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    from portal.web import health

    monkeypatch.setattr(health, "_redis", lambda: health.Check(True))


@pytest.mark.usefixtures("_redis_answers")
@pytest.mark.django_db
def test_health_is_200_when_every_worker_has_answered_lately(client: Client) -> None:
    for queue in ["default", *(f"cluster.{name}" for name in settings.CLUSTERS)]:
        Heartbeat.objects.create(queue=queue, seen_at=now())
    response = client.get("/healthz")
    assert (response.status_code, response.json()["status"]) == (200, "ok")


@pytest.mark.usefixtures("_redis_answers")
@pytest.mark.django_db
def test_health_names_the_worker_that_is_silent(client: Client) -> None:
    Heartbeat.objects.create(queue="default", seen_at=now())
    checks = client.get("/healthz").json()["checks"]
    assert checks["worker default"]["ok"]
    assert checks["beat"]["ok"]
    assert not checks[f"worker cluster.{settings.CLUSTERS[0]}"]["ok"]


@pytest.mark.django_db
def test_health_survives_a_redis_that_is_away_and_tells_no_address(client: Client) -> None:
    with override_settings(REDIS_URL="redis://user:secret@127.0.0.1:1/0"):
        response = client.get("/healthz")
    assert response.status_code == 503
    assert response.json()["checks"]["redis"] == {"ok": False, "note": "ConnectionError"}
    assert "secret" not in response.content.decode()


def test_health_survives_a_database_that_is_away(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from portal.web import health

    def away() -> None:
        raise ConnectionError

    monkeypatch.setattr(health, "_database", away)
    monkeypatch.setattr(health, "_redis", lambda: health.Check(True))
    assert set(health.checks()) == {"database", "redis"}


@pytest.mark.django_db
def test_metrics_need_the_token(client: Client) -> None:
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
    page = client.get("/metrics", headers={"Authorization": f"Bearer {settings.METRICS_TOKEN}"})
    assert page.status_code == 200
    assert 'saola_collector_failed{collector="portal.outbox.metrics.collect"} 0.0' in page.content.decode()


@pytest.mark.django_db
def test_metrics_without_a_token_in_the_settings_do_not_exist(client: Client) -> None:
    with override_settings(METRICS_TOKEN=""):
        assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404


@pytest.mark.django_db
def test_one_failing_collector_is_named_and_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[object]:
        raise RuntimeError("the table is away")

    monkeypatch.setattr(metrics, "_collectors", [broken, *metrics._collectors])
    text = metrics.render().decode()
    assert "broken" in text
    assert "saola_worker_heartbeat_age_seconds" in text


# --- the registries -----------------------------------------------------------------------------------------------


def test_a_card_whose_url_does_not_exist_is_left_out(nobody: User) -> None:
    cards = Cards()
    cards.register("nowhere:card")
    cards.register("people:projects_card")
    cards.register("people:people", show=lambda person: False)
    assert [card.url for card in cards.place(nobody)] == ["/people/projects-card/"]


def test_the_link_with_the_longest_fitting_address_is_the_current_one(nobody: User) -> None:
    links = Navigation()
    links.register("web:home", label="Home", icon="home", order=1)
    links.register("people:people", label="People", icon="users", order=2)
    placed = links.place(nobody, "/people/3/")
    assert [(link.url, link.current) for link in placed] == [("/", False), ("/people/", True)]
