"""Uploads and downloads through the whole of Django, as a browser sends and receives them."""

import io
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from portal.files.errors import FileMissing
from portal.files.models import StoredFile
from portal.people.models import User
from tests.portal.files.conftest import Store, files_in
from tests.portal.files.making import pdf, stream
from tests.portal.files.test_store import MEGABYTE, file_size_limit

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.portal.files.urls")]
BOUNDARY = "----boundary-of-the-tests"


class Body(io.RawIOBase):
    """A multipart body that comes in piece by piece and never lies in memory as a whole."""

    def __init__(self, file_name: str, size_bytes: int, field: str = "report", cut_bytes: int = 0) -> None:
        disposition = f'form-data; name="{field}"; filename="{file_name}"'
        head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\nContent-Type: application/pdf\r\n\r\n%PDF-1.7\n"
        self.tail = f"\r\n--{BOUNDARY}--\r\n".encode()
        self.pending = head.encode()
        self.left = size_bytes - cut_bytes
        self.length = len(self.pending) + size_bytes + len(self.tail)
        self.noise = random.Random(0).randbytes(65_536)
        self.is_cut = bool(cut_bytes)

    def read(self, size: int = -1) -> bytes:
        if not self.pending and self.left > 0:
            self.pending = self.noise[: self.left]
            self.left -= len(self.pending)
        elif not self.pending and self.tail:
            self.pending, self.tail = (b"" if self.is_cut else self.tail), b""
        taken = self.pending if size < 0 else self.pending[:size]
        self.pending = self.pending[len(taken) :]
        return taken


def send(client: Client, body: Body, url: str = "/one/") -> HttpResponse:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": url,
        "CONTENT_TYPE": f"multipart/form-data; boundary={BOUNDARY}",
        "CONTENT_LENGTH": str(body.length),
        "wsgi.input": body,
    }
    return client.request(**environ)  # type: ignore[return-value]


def post(client: Client, content: bytes, name: str = "Báo cáo.pdf", url: str = "/one/", **fields: str) -> HttpResponse:
    file = io.BytesIO(content)
    file.name = name
    return client.post(url, {"report": file, **fields})  # type: ignore[return-value]


def beside_the_field(response: HttpResponse) -> str:
    """The errors that the page shows at the field; "" for none."""
    return response.content.decode().partition('id="id_report_error"')[2].partition("</div></div>")[0]


@pytest.fixture
def client(researcher: User, client_of: Callable[[User], Client], media: Path) -> Client:
    return client_of(researcher)


# --- in -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size_bytes", [0, 3 * MEGABYTE], ids=["in memory", "in a file"])
def test_an_upload_is_stored_and_shown(client: Client, media: Path, size_bytes: int) -> None:
    content = pdf(stream(os.urandom(size_bytes), b"/Subtype /Image"))
    response = post(client, content)
    assert response.status_code == 200
    assert "Báo cáo.pdf" in response.content.decode()
    [path] = files_in(media)
    assert path.read_bytes() == content


def test_a_hundred_megabytes_are_refused_and_not_kept(client: Client, media: Path, settings: Settings) -> None:
    """While it comes in, no file may grow beyond the limit: the disk would refuse it, with another message."""
    body = Body("a.pdf", 100 * MEGABYTE)
    with file_size_limit(settings.FILES_LIMIT_BYTES + MEGABYTE):
        response = send(client, body)
    assert response.status_code == 422
    assert "Tệp lớn hơn 20\N{NO-BREAK SPACE}MB" in beside_the_field(response)
    assert body.left == 0  # read to its end: the browser waits for that before it reads the answer
    assert files_in(media) == []


def test_a_body_beyond_all_limits_is_not_even_read(client: Client, media: Path, settings: Settings) -> None:
    body = Body("a.pdf", settings.FILES_BODY_LIMIT_BYTES)
    before = body.left
    response = send(client, body)
    assert response.status_code == 413
    assert "lớn quá" in response.content.decode()
    assert body.left == before
    assert files_in(media) == []


def test_an_upload_just_at_the_limit_is_not_too_large(client: Client, settings: Settings) -> None:
    settings.FILES_LIMIT_BYTES = len(pdf())
    assert post(client, pdf()).status_code == 200
    assert post(client, pdf() + b"\n").status_code == 422


def test_a_field_may_have_a_lower_limit(client: Client, media: Path) -> None:
    response = post(client, pdf(stream(os.urandom(MEGABYTE), b"")), url="/among-others/", title="x")
    assert response.status_code == 422
    assert "Tệp lớn hơn 1\N{NO-BREAK SPACE}MB" in beside_the_field(response)
    assert files_in(media) == []


def test_an_interrupted_upload_is_not_stored(client: Client, media: Path) -> None:
    send(client, Body("a.pdf", 3 * MEGABYTE, cut_bytes=MEGABYTE))
    assert files_in(media) == []


@pytest.mark.parametrize(
    "name",
    ["../../../etc/cron.d/a.pdf", "..\\..\\a.pdf", "/etc/passwd", "..", "C:\\a.pdf", "&#47;etc/a.pdf", "a&sol;b.pdf"],
)
def test_a_path_for_a_name_is_refused(client: Client, media: Path, tmp_path: Path, name: str) -> None:
    response = send(client, Body(name, 1000))
    assert response.status_code == 422
    assert "đường dẫn" in beside_the_field(response)
    assert files_in(tmp_path) == []


def test_a_name_with_tricks_is_shown_as_text(client: Client) -> None:
    post(client, pdf(), name="<img src=x onerror=alert(1)>\N{RIGHT-TO-LEFT OVERRIDE}fdp.exe")
    page = client.get("/one/").content.decode()
    assert "_img src=x onerror=alert(1)_fdp.exe.pdf" in page
    assert "<img src=x" not in page


@pytest.mark.parametrize(
    "content",
    [b"<html><script>alert(1)</script></html>", b"PK\3\4" + b"\0" * 5000, b"", pdf()[:300]],
    ids=["web page", "zip", "empty", "truncated"],
)
def test_other_content_behind_the_name_is_refused_beside_the_field(client: Client, media: Path, content: bytes) -> None:
    response = post(client, content, url="/among-others/", title="Tên đã gõ")
    assert response.status_code == 422
    assert beside_the_field(response)
    assert "Tên đã gõ" in response.content.decode()
    assert files_in(media) == []


def test_a_full_disk_is_told_beside_the_field(client: Client, media: Path, tmp_path: Path) -> None:
    with file_size_limit(MEGABYTE):
        response = post(client, pdf(stream(os.urandom(4 * MEGABYTE), b"")))
    assert response.status_code == 422
    assert "không lưu được" in beside_the_field(response)
    assert files_in(media) == []


def test_nothing_is_kept_of_what_a_stranger_sends(media: Path, settings: Settings) -> None:
    """Login reads its form before it knows anybody: a file in it goes nowhere."""
    with file_size_limit(1000):
        response = send(Client(enforce_csrf_checks=True), Body("a.pdf", 50 * MEGABYTE), "/accounts/login/")
    assert response.status_code == 403
    assert files_in(media) == []


def test_more_files_than_any_form_has_are_refused(client: Client, media: Path) -> None:
    response = client.post("/one/", {f"file{number}": io.BytesIO(pdf()) for number in range(11)})
    assert response.status_code == 400


# --- shown and taken away ---------------------------------------------------------------------------------------------


def test_a_file_is_replaced_and_removed(client: Client) -> None:
    post(client, pdf(), name="first.pdf")
    assert "second.pdf" in post(client, pdf(), name="second.pdf").content.decode()
    assert client.post("/among-others/", {"title": "x"}).status_code == 200
    assert "second.pdf" in client.get("/among-others/").content.decode()
    client.post("/among-others/", {"title": "x", "report-clear": "on"})
    assert set(StoredFile.objects.values_list("name", flat=True)) == {"first.pdf"}
    assert "first.pdf" not in client.post("/one/", {"report-clear": "on"}).content.decode()


def test_a_new_file_wins_over_the_switch(client: Client) -> None:
    post(client, pdf(), name="first.pdf")
    assert post(client, pdf(), name="second.pdf", **{"report-clear": "on"}).status_code == 200
    assert StoredFile.objects.filter(name="second.pdf").exists()


def test_htmx_gets_the_part_alone(client: Client) -> None:
    page = client.get("/one/", headers={"hx-request": "true"}).content.decode()
    assert page.strip().startswith("<form")
    assert "<html" not in page
    assert "20\N{NO-BREAK SPACE}MB" in page


# --- out --------------------------------------------------------------------------------------------------------------


def test_a_download_is_a_download_and_nothing_else(client: Client, store: Store) -> None:
    stored = store(name="Đề xuất <1>.pdf")
    response = client.get(reverse("download", args=[stored.pk]))
    assert response.getvalue() == pdf()  # type: ignore[attr-defined]
    headers = response.headers
    assert headers["Content-Type"] == "application/pdf"
    assert headers["Content-Disposition"] == (
        "attachment; filename=\"De xuat _1_.pdf\"; filename*=UTF-8''%C4%90%E1%BB%81%20xu%E1%BA%A5t%20_1_.pdf"
    )
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert headers["Cache-Control"] == "private, no-cache"
    assert headers["Content-Length"] == str(len(pdf()))


def test_another_persons_file_does_not_exist(store: Store, outsider: User, client_of: Callable[[User], Client]) -> None:
    assert client_of(outsider).get(reverse("download", args=[store().pk])).status_code == 404


def test_no_address_of_the_portal_serves_files_by_themselves(client: Client, store: Store, media: Path) -> None:
    stored = store()
    for path in (f"/media/{stored.sha256[:2]}/{stored.sha256}", f"/files/{stored.pk}/", f"/static/{stored.sha256}"):
        assert client.get(path).status_code == 404


def test_a_missing_file_is_a_fault_of_ours(client: Client, store: Store, media: Path) -> None:
    stored = store()
    for path in files_in(media):
        path.unlink()
    with pytest.raises(FileMissing, match=stored.sha256):
        client.get(reverse("download", args=[stored.pk]))
