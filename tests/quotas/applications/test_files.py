"""Attachments from outside: what is refused leaves nothing, and an organisation's drafts keep to their room."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.conf import settings as portal_settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from portal.clock import now
from portal.files.models import StoredFile
from portal.files.services import files_drop_unused
from portal.people.models import Organisation, User
from quotas.applications import errors
from quotas.applications.models import Application, Attachment
from quotas.applications.selectors import attachments_of
from quotas.applications.services import (
    application_begin,
    application_return,
    attachment_add,
    attachment_remove,
    attachments_drop,
    draft_submit,
)
from quotas.programmes.models import Call
from tests.portal.files.conftest import files_in
from tests.portal.files.making import packed_objects, pdf, stream, upload
from tests.portal.files.test_http import Body, send

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], Client]
MEGABYTE = 1 << 20
PLACES = ["attach", "answer_file"]


@pytest.fixture(autouse=True)
def media(settings: Settings, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = str(tmp_path / "media")
    return tmp_path / "media"


def text(response: Any) -> str:
    return str(response.content.decode())


def address(application: Application, place: str) -> str:
    return reverse(f"applications:{place}", args=[application.pk, *(["q.q4"] if place == "answer_file" else [])])


def nothing_is_stored(media: Path) -> bool:
    return not (Attachment.objects.exists() or StoredFile.objects.exists() or files_in(media))


# --- refused, nothing stored ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "content",
    [
        b"<html><script>alert(1)</script></html>",
        b"PK\3\4" + b"\0" * 5_000,
        b"\x89PNG\r\n\x1a\n" + b"\0" * 100,
        pdf()[:300],
        b"",
    ],
    ids=["web page", "zip", "picture", "truncated", "empty"],
)
def test_other_content_behind_the_name(
    client_of: ClientOf, organisation_manager: User, draft: Application, media: Path, place: str, content: bytes
) -> None:
    file = SimpleUploadedFile("plan.pdf", content, "application/pdf")
    response = client_of(organisation_manager).post(address(draft, place), {"file": file})
    assert response.status_code == 422
    assert "field-error" in text(response)
    assert nothing_is_stored(media)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "made",
    [lambda: pdf(stream(b" " * 200 * MEGABYTE)), lambda: pdf(*[packed_objects(b" " * 10 * MEGABYTE)] * 20)],
    ids=["one stream", "many objects"],
)
def test_a_bomb(
    client_of: ClientOf,
    organisation_manager: User,
    draft: Application,
    media: Path,
    place: str,
    made: Callable[[], bytes],
) -> None:
    file = SimpleUploadedFile("plan.pdf", made(), "application/pdf")
    response = client_of(organisation_manager).post(address(draft, place), {"file": file})
    assert response.status_code == 422
    assert nothing_is_stored(media)


@pytest.mark.parametrize("place", PLACES)
def test_a_hundred_megabytes(
    client_of: ClientOf, organisation_manager: User, draft: Application, media: Path, place: str
) -> None:
    body = Body("plan.pdf", 100 * MEGABYTE, field="file")
    response = send(client_of(organisation_manager), body, address(draft, place))
    assert response.status_code == 422
    assert "Tệp lớn hơn 20\N{NO-BREAK SPACE}MB" in text(response)
    assert nothing_is_stored(media)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["../../../etc/cron.d/a.pdf", "..\\..\\a.pdf", "/etc/passwd", "&#47;etc/a.pdf"])
def test_a_path_for_a_name(
    client_of: ClientOf, organisation_manager: User, draft: Application, tmp_path: Path, place: str, name: str
) -> None:
    response = send(client_of(organisation_manager), Body(name, 1_000, field="file"), address(draft, place))
    assert response.status_code == 422
    assert "đường dẫn" in text(response)
    assert nothing_is_stored(tmp_path)


@pytest.mark.parametrize("place", PLACES)
def test_another_organisations_application_does_not_exist(
    client_of: ClientOf, outsider: User, operator: User, draft: Application, media: Path, place: str
) -> None:
    for person in (outsider, operator):
        assert client_of(person).post(address(draft, place), {"file": upload()}).status_code == 404
    assert nothing_is_stored(media)


def test_another_applications_attachment_does_not_exist_under_ones_own_number(
    client_of: ClientOf,
    organisation_manager: User,
    outsider: User,
    other_organisation: Organisation,
    draft: Application,
    call: Call,
    media: Path,
) -> None:
    theirs = attachment_add(person=organisation_manager, application=draft, upload=upload())
    own = application_begin(person=outsider, organisation=other_organisation, call=call)
    client = client_of(outsider)
    for application in (own, draft):
        assert client.get(reverse("applications:attachment", args=[application.pk, theirs.pk])).status_code == 404
        remove = reverse("applications:attachment_remove", args=[application.pk, theirs.pk])
        assert client.post(remove).status_code == 404
    assert attachments_of(draft) == [theirs]
    assert len(files_in(media)) == 1


def test_an_eleventh_attachment_is_refused_before_it_is_stored(
    organisation_manager: User, draft: Application, media: Path
) -> None:
    for number in range(10):
        attachment_add(person=organisation_manager, application=draft, upload=upload(pdf(text=str(number))))
    with pytest.raises(errors.Invalid):
        attachment_add(person=organisation_manager, application=draft, upload=upload(pdf(text="one more")))
    assert StoredFile.objects.count() == len(files_in(media)) == 10


# --- an organisation's room -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "words"),
    [("vi", ["tổ chức bạn đang soạn", "sau một ngày"]), ("en", ["your organisation is writing", "after a day"])],
)
def test_the_drafts_of_an_organisation_share_their_room(
    client_of: ClientOf,
    organisation_manager: User,
    organisation: Organisation,
    draft: Application,
    call: Call,
    media: Path,
    settings: Settings,
    language: str,
    words: list[str],
) -> None:
    settings.DRAFT_FILES_LIMIT_BYTES = 2 * len(pdf())
    second = application_begin(person=organisation_manager, organisation=organisation, call=call)
    attachment_add(person=organisation_manager, application=draft, upload=upload())
    attachment_add(person=organisation_manager, application=second, upload=upload())
    client = client_of(organisation_manager)
    client.cookies[portal_settings.LANGUAGE_COOKIE_NAME] = language
    for place in PLACES:
        response = client.post(address(second, place), {"file": upload(pdf(text="one more"))})
        assert response.status_code == 422
        assert [word for word in words if word not in text(response)] == []
    assert StoredFile.objects.count() == 2
    assert len(files_in(media)) == 1, "the same content twice; nothing of the third"


def test_another_organisation_has_its_own_room(
    organisation_manager: User,
    outsider: User,
    other_organisation: Organisation,
    draft: Application,
    call: Call,
    settings: Settings,
) -> None:
    settings.DRAFT_FILES_LIMIT_BYTES = len(pdf())
    attachment_add(person=organisation_manager, application=draft, upload=upload())
    theirs = application_begin(person=outsider, organisation=other_organisation, call=call)
    assert attachment_add(person=outsider, application=theirs, upload=upload())


def test_what_is_taken_away_gives_its_room_back_after_a_day(
    organisation_manager: User, draft: Application, media: Path, settings: Settings
) -> None:
    settings.DRAFT_FILES_LIMIT_BYTES = len(pdf())
    first = attachment_add(person=organisation_manager, application=draft, upload=upload())
    attachment_remove(person=organisation_manager, attachment=first)
    assert attachments_drop(actor="test") == 0
    with pytest.raises(errors.Invalid):
        attachment_add(person=organisation_manager, application=draft, upload=upload())
    with time_machine.travel(now() + timedelta(days=1, minutes=1), tick=False):
        assert attachments_drop(actor="test") == 1
        assert files_drop_unused(actor="test").contents == 1
        assert files_in(media) == []
        assert attachment_add(person=organisation_manager, application=draft, upload=upload())


def test_what_was_submitted_takes_no_room_and_is_never_dropped(
    organisation_manager: User, operator: User, complete: Application, settings: Settings
) -> None:
    settings.DRAFT_FILES_LIMIT_BYTES = 2 * len(pdf())
    shown = attachment_add(person=organisation_manager, application=complete, upload=upload())
    submitted = draft_submit(person=organisation_manager, application=complete)
    application_return(person=operator, application=submitted, comments={}, reason="x")
    attachment_remove(person=organisation_manager, attachment=shown)
    passing = attachment_add(person=organisation_manager, application=submitted, upload=upload())
    attachment_remove(person=organisation_manager, attachment=passing)
    with time_machine.travel(now() + timedelta(days=2), tick=False):
        assert attachments_drop(actor="test") == 1
        files_drop_unused(actor="test")
    assert list(Attachment.objects.all()) == [shown]
    assert StoredFile.objects.get() == shown.file


@pytest.mark.django_db(transaction=True)
def test_two_uploads_at_once_do_not_pass_the_room_together(
    organisation: Organisation, organisation_manager: User, call: Call, settings: Settings
) -> None:
    settings.DRAFT_FILES_LIMIT_BYTES = len(pdf())
    drafts = [
        application_begin(person=organisation_manager, organisation=organisation, call=call) for _number in range(2)
    ]

    def add(draft: Application) -> str:
        try:
            attachment_add(person=organisation_manager, application=draft, upload=upload())
        except errors.Invalid:
            return "no room"
        finally:
            connection.close()
        return "added"

    with ThreadPoolExecutor(max_workers=2) as pool:
        assert sorted(pool.map(add, drafts)) == ["added", "no room"]
    assert Attachment.objects.count() == 1
