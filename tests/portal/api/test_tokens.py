"""Tokens: made once, shown once, found by nobody else, gone when revoked or at their end."""

import logging
from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine
from django.core import mail
from django.core.cache import caches
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver, reverse
from psycopg import sql
from redis.exceptions import ConnectionError as RedisAway

from portal.api.models import Token
from portal.api.openapi import addresses, description
from portal.api.services import FORM, MOST_LIVE, TokenRefused, token_make, token_revoke
from portal.clock import now
from portal.outbox.services import messages_deliver
from tests.portal.api.programs import Program, program_of, token_for

pytestmark = pytest.mark.django_db

ME, PAGE = reverse("api_v1:me"), reverse("api:tokens")
PARTS = {"<uuid:pk>": str(uuid4()), "<slug:slug>": "x", "<job_verb:verb>": "hold", "<int:task>": "1"}
WANTED = {"name": "sổ tay", "scopes": ["read", "submit"], "days": "30", "project": ""}


@pytest.fixture(autouse=True)
def _no_counts():
    caches["redis"].clear()


def answer(secret: str):
    return Program(headers={"Authorization": f"Bearer {secret}"}).get(ME)


def codes(response) -> list[str]:
    return [error["code"] for error in response.json()["errors"]]


# --- the page -----------------------------------------------------------------------------------------------------


def test_a_token_is_shown_once_and_kept_as_a_hash(client_of, researcher, caplog):
    window = client_of(researcher)
    with caplog.at_level(logging.DEBUG):
        made = window.post(PAGE, WANTED)
    secret = made.context["secret"]
    assert FORM.fullmatch(secret)
    assert secret in made.content.decode()
    assert made.headers["Cache-Control"].startswith("max-age=0")
    assert "no-store" in made.headers["Cache-Control"]
    assert secret not in window.get(PAGE).content.decode()
    [row] = Token.objects.all()
    assert secret not in str(vars(row))
    assert row.scopes == ["read", "submit"]
    assert timedelta(days=29) < row.expires_at - now() < timedelta(days=31)
    assert secret not in caplog.text
    with connection.cursor() as cursor:  # nowhere in the database, the history and the messages among it
        for table in ("api_token", "api_tokenevent", "outbox_message", "django_session"):
            text = sql.SQL("SELECT count(*) FROM {} AS one WHERE one::text LIKE %s").format(sql.Identifier(table))
            cursor.execute(text, [f"%{secret[12:]}%"])
            assert cursor.fetchone() == (0,)


def test_it_works_until_it_is_revoked_with_a_click(client_of, researcher, operator):
    window = client_of(researcher)
    secret = window.post(PAGE, WANTED).context["secret"]
    me = answer(secret).json()
    assert me["email"] == researcher.email
    assert me["token"]["scopes"] == ["read", "submit"]
    row = Token.objects.get()
    assert client_of(operator).post(reverse("api:revoke", args=[row.pk])).status_code == 404
    assert answer(secret).status_code == 200
    assert window.post(reverse("api:revoke", args=[row.pk])).status_code == 302
    refused = answer(secret)
    assert (refused.status_code, codes(refused)) == (401, ["token_revoked"])
    assert refused.headers["WWW-Authenticate"] == "Bearer"


def test_making_and_revoking_stand_in_the_history(client_of, researcher):
    window = client_of(researcher)
    window.post(PAGE, WANTED)
    row = Token.objects.get()
    window.post(reverse("api:revoke", args=[row.pk]))
    events = list(row.events.order_by("pgh_id"))
    assert [event.pgh_label for event in events] == ["created", "changed"]
    assert [event.pgh_context["why"] for event in events] == ["token_make", "token_revoke"]
    assert {event.pgh_context["user"] for event in events} == {researcher.pk}
    assert not hasattr(events[0], "digest")


def test_one_cannot_have_too_many(researcher):
    for _ in range(MOST_LIVE):
        token_for(researcher)
    with pytest.raises(TokenRefused):
        token_for(researcher)
    token_revoke(token=Token.objects.first(), actor=researcher)
    token_for(researcher)


def test_it_is_for_ones_own_projects_only(client_of, researcher, project, other_project):
    refused = client_of(researcher).post(PAGE, WANTED | {"project": other_project.pk})
    assert refused.status_code == 422
    assert "project" in refused.context["form"].errors
    with pytest.raises(TokenRefused):
        token_for(researcher, project=other_project)
    assert client_of(researcher).post(PAGE, WANTED | {"project": project.pk}).status_code == 200


def test_the_database_knows_the_limits_too(researcher):
    token_for(researcher)
    row = Token.objects.get()
    for wrong in ({"expires_at": row.created_at + timedelta(days=366)}, {"scopes": ["root"]}, {"scopes": []}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Token.objects.filter(pk=row.pk).update(**wrong)
    with pytest.raises(TokenRefused):
        token_make(person=researcher, name="x", scopes=["read"], life=timedelta(days=366))


# --- its life -----------------------------------------------------------------------------------------------------


def test_it_ends_by_itself_and_says_so_days_before(researcher):
    researcher.language = "vi"
    researcher.save()
    secret = token_make(person=researcher, name="sổ tay", scopes=["read"], life=timedelta(days=30))[1]
    messages_deliver(queue="default")
    assert [letter.subject for letter in mail.outbox] == ["Khóa API mới: sổ tay"]
    with time_machine.travel(now() + timedelta(days=22)):
        messages_deliver(queue="default")
        assert len(mail.outbox) == 1
    with time_machine.travel(now() + timedelta(days=24)):
        assert messages_deliver(queue="default") == 1
        assert mail.outbox[-1].to == [researcher.email]
        assert "/profile/tokens/" in mail.outbox[-1].body
        assert answer(secret).status_code == 200
    with time_machine.travel(now() + timedelta(days=31)):
        refused = answer(secret)
        assert (refused.status_code, codes(refused)) == (401, ["token_expired"])
    assert not [letter for letter in mail.outbox if secret in letter.body]


def test_nothing_is_said_of_one_that_was_revoked(researcher):
    row = token_make(person=researcher, name="x", scopes=["read"], life=timedelta(days=30))[0]
    messages_deliver(queue="default")
    token_revoke(token=row, actor=researcher)
    with time_machine.travel(now() + timedelta(days=24)):
        assert messages_deliver(queue="default") == 1
    assert len(mail.outbox) == 1


def test_when_it_was_used_is_kept_in_steps(researcher):
    secret = token_for(researcher)
    answer(secret)
    first = Token.objects.get().last_used_at
    assert first is not None
    answer(secret)
    assert Token.objects.get().last_used_at == first
    with time_machine.travel(now() + timedelta(minutes=6)):
        answer(secret)
    assert Token.objects.get().last_used_at > first
    assert Token.objects.get().events.count() == 1  # using is no change


def test_who_is_deactivated_has_no_tokens(researcher):
    secret = token_for(researcher)
    researcher.is_active = False
    researcher.save()
    assert codes(answer(secret)) == ["token_unknown"]


# --- at the door --------------------------------------------------------------------------------------------------


def test_only_a_token_opens_the_door(client_of, researcher):
    for header in (None, "", "Bearer", "Bearer x", "Basic abc", f"Bearer saola_{'a' * 43}", "Bearer saola_\u00e9"):
        response = Client(headers={} if header is None else {"Authorization": header}).get(ME)
        assert response.status_code == 401
        assert response.json()["errors"][0]["field"] is None
    assert client_of(researcher).get(ME).status_code == 401  # a browser's session is none


def test_every_address_wants_its_scope_and_never_a_session(client_of, researcher):
    """Every endpoint there is, from the table of addresses itself."""
    caches["redis"].clear()
    programs = {scope: program_of(researcher, scope) for scope in ("read", "submit", "operate")}
    browser = client_of(researcher)
    seen = 0
    for address, view in addresses(get_resolver().url_patterns):
        if view.is_public:
            continue
        url = "/" + address
        for part, value in PARTS.items():
            url = url.replace(part, value)
        assert "<" not in url
        for method, scopes in view.scopes.items():
            seen += 1
            assert scopes
            send = {"GET": "get", "POST": "post"}[method]
            assert getattr(browser, send)(url).status_code == 401
            for scope, program in programs.items():
                response = getattr(program, send)(url)
                assert (response.status_code == 403) == (scope not in scopes), (method, url, scope)
                assert response.status_code < 500
        assert programs["read"].put(url).status_code == 405
        assert programs["read"].put(url).json()["errors"][0]["code"] == "method"
    assert seen > 12


def test_it_asks_one_query_and_no_session(researcher):
    program = program_of(researcher)
    program.get(ME)
    with CaptureQueriesContext(connection) as asked:
        response = program.get(ME)
    assert response.status_code == 200
    assert not response.cookies
    assert len(asked) == 1


def test_who_asks_too_often_waits(researcher, outsider, settings):
    settings.API_REQUESTS_A_MINUTE = 3
    program, other = program_of(researcher), program_of(outsider)
    with time_machine.travel(now(), tick=False):
        assert [program.get(ME).status_code for _ in range(5)] == [200, 200, 200, 429, 429]
        refused = program.get(ME)
        assert codes(refused) == ["too_many_requests"]
        assert 0 < int(refused.headers["Retry-After"]) <= 60
        assert other.get(ME).status_code == 200
    with time_machine.travel(now() + timedelta(minutes=1), tick=False):
        assert program.get(ME).status_code == 200


def test_without_redis_nobody_is_kept_from_working(researcher, monkeypatch):
    program = program_of(researcher)

    def away(*_parts, **_how):
        raise RedisAway

    for name in ("incr", "add"):
        monkeypatch.setattr(type(caches["redis"]), name, away)
    assert program.get(ME).status_code == 200


def test_errors_are_in_the_persons_language_and_of_one_shape(researcher):
    program = program_of(researcher)
    for language, words in (("vi", "Mục này không tồn tại"), ("en", "This does not exist")):
        researcher.language = language
        researcher.save()
        for url in ("/api/v1/projects/nowhere/", "/api/v1/jobs/not-a-number/"):
            response = program.get(url)
            assert response.status_code == 404
            [error] = response.json()["errors"]
            assert error["code"] == "not_found"
        assert program.get("/api/v1/projects/nowhere/").json()["errors"][0]["message"].startswith(words)
        assert program.get("/api/v1/projects/nowhere/").headers["Content-Language"] == language


def test_what_cannot_be_read_is_refused_and_never_a_500(researcher, settings):
    program = program_of(researcher)
    url = reverse("jobs_v1:estimate")
    for body, status in (
        (b"{", 400),
        (b"[]", 400),
        (b"[" * 100_000, 400),
        (b'{"name": "\\ud800"}', 400),
        (b'{"\\udfff": 1}', 400),
        (b'{"name": NaN}', 400),
        (b'{"nodes": ' + b"9" * 5_000 + b"}", 400),
        (b'{"name": "\xff"}', 400),
        (b'{"name": "' + b"a" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE + b'"}', 413),
        (b"", 200),
    ):
        assert program.post(url, body).status_code == status, body[:40]
    assert program.post(url, b"x=1", content_type="application/x-www-form-urlencoded").status_code == 415
    assert program.get("/api/v1/jobs/?project=%00").status_code == 400


def test_it_describes_itself():
    told = Client().get(reverse("api_v1:openapi")).json()
    assert told == description()
    assert told["openapi"].startswith("3.1")
    assert "/api/v1/jobs/{pk}/log/" in told["paths"]
    assert {"read", "submit"} <= set(
        told["paths"]["/api/v1/jobs/estimate/"]["post"]["description"].replace(".", "").split()
    )
    names = set(told["components"]["schemas"])

    def pointed_at(node) -> set[str]:
        if isinstance(node, dict):
            own = {node["$ref"].rpartition("/")[2]} if "$ref" in node else set()
            return own.union(*map(pointed_at, node.values()))
        return set().union(*map(pointed_at, node)) if isinstance(node, list) else set()

    assert pointed_at(told) <= names
    assert all(
        operation["summary"]
        for path in told["paths"].values()
        for name, operation in path.items()
        if name != "parameters"
    )
