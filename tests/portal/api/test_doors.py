"""What the framework below could let in, and does not: forms, pages, other writings, sessions, more than its share."""

import zlib

import pytest
import time_machine
from django.core.cache import caches
from django.test import Client
from django.urls import get_resolver, reverse
from rest_framework.settings import api_settings

from portal.api.access import Bearer, PerToken, Scoped, StrictJson
from portal.api.openapi import addresses
from portal.api.shapes import ShapesAsJson
from portal.clock import now
from tests.portal.api.programs import program_of, token_for

pytestmark = pytest.mark.django_db

ME, ESTIMATE = reverse("api_v1:me"), reverse("jobs_v1:estimate")


@pytest.fixture(autouse=True)
def _no_counts():
    caches["redis"].clear()


def test_every_address_has_one_way_in_and_one_writing():
    """Also an endpoint that somebody adds without a thought."""
    ways = {
        "DEFAULT_AUTHENTICATION_CLASSES": [Bearer],
        "DEFAULT_PERMISSION_CLASSES": [Scoped],
        "DEFAULT_THROTTLE_CLASSES": [PerToken],
        "DEFAULT_PARSER_CLASSES": [StrictJson],
        "DEFAULT_RENDERER_CLASSES": [ShapesAsJson],
    }
    for name, classes in ways.items():
        assert getattr(api_settings, name) == classes
        attribute = name.removeprefix("DEFAULT_").lower()
        for _address, view in addresses(get_resolver().url_patterns):
            own = [] if view.is_public and name not in list(ways)[3:] else classes
            assert list(getattr(view, attribute)) == own, view


def test_whatever_is_wanted_it_is_json(researcher):
    program = program_of(researcher)
    for accept in ("text/html", "*/*", "application/xml", "application/json; indent=8", "no/such, thing;q=2"):
        for address in (ME, "/api/v1/nowhere/", f"{ME}?format=api", f"{ME}?format=xml"):
            answer = program.get(address, headers={"Accept": accept})
            assert answer.headers["Content-Type"] == "application/json"
            assert b"\n" not in answer.content
            answer.json()
    head = program.head(ME)
    assert (head.status_code, head.content, head.headers["Cache-Control"]) == (200, b"", "no-store")
    assert "Accept" not in head.headers["Vary"]


def test_a_method_that_is_not_named_is_not_there(researcher):
    program = program_of(researcher)
    for method in ("options", "put", "patch", "delete", "trace"):
        for address in (ME, ESTIMATE):
            assert getattr(program, method)(address).status_code == 405
            assert getattr(Client(), method)(address).status_code == 401
        assert getattr(Client(), method)(reverse("api_v1:openapi")).status_code == 405
    assert program.post(ME).status_code == 405


def test_a_token_speaks_for_its_own_person_whoever_is_logged_in(client_of, researcher, outsider):
    browser = client_of(outsider)
    told = browser.get(ME, headers={"Authorization": f"Bearer {token_for(researcher)}"}).json()
    assert told["email"] == researcher.email
    assert browser.get(ME, headers={"Authorization": "Bearer nothing"}).status_code == 401
    browser.handler.enforce_csrf_checks = True
    sent = browser.post(ESTIMATE, {}, "application/json", headers={"Authorization": f"Bearer {token_for(researcher)}"})
    assert sent.status_code == 200


def test_a_body_is_utf_8_whatever_is_announced(researcher):
    program = program_of(researcher)
    body = '{"name": "Thử"}'

    def answered(sent: bytes, kind: str) -> int:
        return program.generic("POST", ESTIMATE, sent, kind).status_code

    for charset in ("utf-16", "latin-1", "zlib", "hex", "rot13", "idna", "none"):
        assert answered(body.encode(), f"application/json; charset={charset}") == 200
    assert answered(body.encode("utf-16"), "application/json; charset=utf-16") == 400
    assert answered(zlib.compress(b" " * 10_000_000), "application/json; charset=zlib") == 400
    for kind in ("", "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"):
        assert answered(body.encode(), kind) == 415


def test_what_a_token_may_not_do_is_counted_too(researcher, settings):
    settings.API_REQUESTS_A_MINUTE = 3
    program = program_of(researcher, "operate")
    with time_machine.travel(now(), tick=False):
        assert [program.get("/api/v1/projects/").status_code for _ in range(5)] == [403, 403, 403, 429, 429]


def test_a_request_for_another_house_is_refused_in_json():
    answer = Client(headers={"host": "evil.example"}).get(ME)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "request"
