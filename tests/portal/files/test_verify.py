"""`manage.py files_verify`, and what /metrics says of it."""

import json
import os
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django.fixtures import Settings

from portal.files.checks import media_root_is_not_served
from portal.files.tasks import files_verify
from tests.portal.files.conftest import Store
from tests.portal.files.making import pdf

pytestmark = pytest.mark.django_db


def verify() -> tuple[dict[str, object], bool]:
    """What the command prints, and whether it was content."""
    out = StringIO()
    try:
        call_command("files_verify", "--json", stdout=out, stderr=StringIO())
    except CommandError:
        return json.loads(out.getvalue() or "{}"), False
    return json.loads(out.getvalue()), True


def metrics(client: Client) -> dict[str, float]:
    text = client.get("/metrics", headers={"authorization": "Bearer the-token-of-the-tests"}).content.decode()
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("saola_files")]
    return {name: float(value) for name, value in lines}


def test_nothing_stored_is_fine(media: Path) -> None:
    result, content = verify()
    assert content
    assert (result["ok"], result["uploads"], result["contents"]) == (True, 0, 0)


def test_it_counts_what_is_stored(store: Store) -> None:
    store(name="a.pdf")
    store(name="b.pdf")
    store(pdf(text="another"))
    result, content = verify()
    assert content
    assert (result["uploads"], result["contents"]) == (3, 2)
    assert result["size_bytes"] == len(pdf()) + len(pdf(text="another"))
    assert result["orphaned"] == result["missing"] == result["damaged"] == result["exposed"] == result["strange"] == []


def test_it_names_a_missing_file_and_a_damaged_one(store: Store, media: Path) -> None:
    gone, rotten, cut = (store(pdf(text=text)) for text in ("gone", "rotten", "cut"))
    (media / gone.sha256[:2] / gone.sha256).unlink()
    for stored, change in ((rotten, lambda data: data.replace(b"Pages", b"Pagos")), (cut, lambda data: data[:-1])):
        path = media / stored.sha256[:2] / stored.sha256
        path.write_bytes(change(path.read_bytes()))
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("files_verify", stdout=out, stderr=StringIO())
    assert gone.sha256 in out.getvalue()
    assert not files_verify()
    shown = metrics(Client())
    assert shown['saola_files_findings{finding="missing"}'] == 1
    assert shown['saola_files_findings{finding="damaged"}'] == 2


def test_an_orphan_is_named_and_no_fault(store: Store) -> None:
    stored = store()
    stored.delete()
    result, content = verify()
    assert content
    assert result["orphaned"] == [stored.sha256]


@pytest.mark.parametrize("make", ["mode", "folder mode", "stranger", "link"])
def test_it_names_what_does_not_belong_there(store: Store, media: Path, make: str) -> None:
    stored = store()
    path = media / stored.sha256[:2] / stored.sha256
    if make == "mode":
        path.chmod(0o644)
    elif make == "folder mode":
        media.chmod(0o755)
    elif make == "stranger":
        (media / "index.html").touch(0o600)
    else:
        os.symlink("/etc/passwd", media / "ab" if stored.sha256[:2] != "ab" else media / "cd")
    assert not verify()[1]


def test_metrics_tell_of_a_verification_that_never_was(store: Store) -> None:
    store()
    shown = metrics(Client())
    assert shown["saola_files_verified_timestamp_seconds"] == 0
    assert (shown["saola_files_uploads"], shown["saola_files_contents"]) == (1, 1)
    assert shown["saola_files_size_bytes"] == len(pdf())
    assert shown["saola_files_free_bytes"] > 0


def test_metrics_tell_of_the_last_verification(store: Store) -> None:
    store()
    assert files_verify()
    shown = metrics(Client())
    assert shown["saola_files_verified_timestamp_seconds"] > 0
    assert {value for name, value in shown.items() if "findings" in name} == {0}


def test_uploads_never_lie_where_files_are_served(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = str(tmp_path / "media")
    assert media_root_is_not_served(None) == []
    for place in (
        Path(settings.STATIC_ROOT) / "media",
        settings.STATICFILES_DIRS[0],
        Path(settings.STATIC_ROOT).parent,
    ):
        settings.MEDIA_ROOT = str(place)
        assert media_root_is_not_served(None)
