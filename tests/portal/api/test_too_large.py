"""A body that is too large, through the web server itself: JSON that reaches whoever is still sending."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection

import pytest
from django.conf import settings
from django.core.cache import caches
from django.db import connection
from django.urls import reverse

from tests.portal.api.programs import token_for

pytestmark = pytest.mark.django_db(transaction=True)
ESTIMATE = reverse("jobs_v1:estimate")
MEGABYTE = 1024 * 1024


@pytest.fixture
def port() -> Iterator[int]:
    """Of a gunicorn as the stack runs it, on the tests' database."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found = free.getsockname()[1]
    database = connection.settings_dict
    door = f"{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}"
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "gunicorn", "portal.wsgi", "--bind", f"127.0.0.1:{found}"),
            *("--worker-class", "gthread", "--threads", "4", "--log-level", "critical"),
        ],
        cwd=settings.BASE_DIR,
        env=os.environ | {"DATABASE_URL": f"postgres://{door}/{database['NAME']}"},
    )
    try:
        for _ in range(300):
            with suppress(OSError), socket.create_connection(("127.0.0.1", found), 1):
                break
            assert server.poll() is None
            time.sleep(0.1)
        yield found
    finally:
        server.terminate()
        server.wait(20)


def test_it_is_told_in_json_whatever_was_sent_until_then(port, researcher):
    caches["redis"].clear()
    known = {"Authorization": f"Bearer {token_for(researcher)}", "Content-Type": "application/json"}
    whole = json.dumps({"name": "a" * 6 * MEGABYTE}).encode()
    announced = 2 * settings.FILES_BODY_LIMIT_BYTES
    for sent, headers in (
        (whole, known),
        (whole, known | {"Connection": "close"}),
        (whole, {"Connection": "close"}),  # from a stranger
        (b"", known | {"Content-Length": str(announced)}),
    ):
        program = HTTPConnection("127.0.0.1", port, timeout=20)
        program.putrequest("POST", ESTIMATE)
        for name, value in ({"Content-Length": str(len(whole))} | headers).items():
            program.putheader(name, value)
        program.endheaders()
        program.send(sent)
        answer = program.getresponse()
        [error] = json.loads(answer.read())["errors"]
        assert (answer.status, error["code"]) == (
            (413, "too_large") if "Authorization" in headers else (401, "token_missing")
        )
        assert answer.headers["Content-Type"] == "application/json"
        program.close()
