"""Vietnamese first, English beside it: no text of the interface is in only one of them."""

import gettext
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import pytest
from django.conf import settings
from django.template.base import Lexer, TokenType
from django.utils.formats import date_format
from django.utils.translation import override

ROOT = Path(settings.BASE_DIR)
PACKAGES = ("portal", "quotas", "scheduler", "monitoring")
TEMPLATES = sorted(path for path in Path(ROOT, "templates").rglob("*.html") if "static" not in path.parts)
# Names and marks that are the same in both languages, or are each language's own name.
SAME_EVERYWHERE = {
    "Saola",
    "VI",
    "VND",
    "EN",
    "Tiếng Việt",
    "English",
    "Slurm",
    "GPU",
    "CSV",
    "H100",
    "H200",
    "QOS",
    "TRES",
    "slurmdbd",
    "slurmctld",
}


def translations() -> dict[str, str]:
    """Everything that any catalogue of the project says in Vietnamese; fuzzy and empty entries are not among it."""
    known: dict[str, str] = {}
    for compiled in ROOT.glob("**/locale/vi/LC_MESSAGES/django.mo"):
        with compiled.open("rb") as file:
            known |= by_message(file)
    return known


def by_message(compiled: BinaryIO) -> dict[str, str]:
    """A catalogue by msgid; forms of a plural count as one, because Vietnamese has one and English two."""
    catalogue = gettext.GNUTranslations(compiled)._catalog  # type: ignore[attr-defined]
    return {key[0] if isinstance(key, tuple) else key: text for key, text in catalogue.items()}


def message_ids(folder: Path) -> set[str]:
    """Every msgid that makemessages finds in the code and the templates, in a copy of them."""
    for package in PACKAGES:
        shutil.copytree(
            Path(ROOT, package),
            Path(folder, package),
            ignore=shutil.ignore_patterns("locale", "migrations", "__pycache__"),
        )
    shutil.copytree(Path(ROOT, "templates"), Path(folder, "templates"), ignore=shutil.ignore_patterns("static"))
    Path(folder, "locale").mkdir()
    from django.core.management import call_command
    from django.test import override_settings

    with pytest.MonkeyPatch.context() as patch, override_settings(LOCALE_PATHS=[str(Path(folder, "locale"))]):
        patch.chdir(folder)
        call_command("makemessages", locale=["vi"], verbosity=0)
    source = Path(folder, "locale", "vi", "LC_MESSAGES", "django.po")
    filled, compiled = source.with_suffix(".full"), source.with_suffix(".mo")
    subprocess.run(["msgen", "-o", filled, source], check=True)  # noqa: S607  each msgid as its own translation
    subprocess.run(["msgfmt", "-o", compiled, filled], check=True)  # noqa: S607
    with compiled.open("rb") as file:
        return {key for key in by_message(file) if key}


def test_every_text_has_a_vietnamese_translation(tmp_path: Path) -> None:
    known = translations()
    missing = sorted(key for key in message_ids(tmp_path) if not known.get(key))
    assert not missing, f"{len(missing)} without a Vietnamese translation: {missing}"


def test_a_text_is_said_in_one_way() -> None:
    """Django takes the first app's words for a text wherever it stands: what means two things has a context."""
    said: dict[str, dict[str, list[str]]] = {}
    for compiled in sorted(ROOT.glob("**/locale/vi/LC_MESSAGES/django.mo")):
        with compiled.open("rb") as file:
            for key, text in by_message(file).items():
                if key:
                    said.setdefault(key, {}).setdefault(text, []).append(str(compiled.relative_to(ROOT).parents[3]))
    assert {key: texts for key, texts in said.items() if len(texts) > 1} == {}


def test_no_translation_is_marked_as_a_guess() -> None:
    guesses = [
        path.relative_to(ROOT)
        for path in ROOT.glob("**/locale/vi/LC_MESSAGES/django.po")
        if re.search(r"^#, .*fuzzy", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert not guesses


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_template_has_text_outside_a_translation(template: Path) -> None:
    inside, text = "", []
    for token in Lexer(template.read_text(encoding="utf-8")).tokenize():
        tag = token.contents.split()[0] if token.token_type == TokenType.BLOCK else ""
        if inside:
            inside = "" if tag == f"end{inside}" else inside
        elif tag in ("comment", "blocktrans", "blocktranslate"):
            inside = tag
        elif token.token_type == TokenType.TEXT:
            text.append(token.contents)
        else:
            text.append("\N{NO-BREAK SPACE}" if token.token_type == TokenType.VAR else "")
    page = "".join(text)
    page = re.sub(r"<!--.*?-->|<code\b.*?</code>", " ", page, flags=re.DOTALL)
    words = [" ".join(part.split()) for part in re.split(r"<[^>]*>", page)]
    spoken = re.findall(r'(?:aria-label|title|placeholder|alt)="([^"]*[^\W\d_]{2,}[^"]*)"', page)
    plain = [part for part in words + spoken if re.search(r"[^\W\d_]{2,}", part)]
    assert [part for part in plain if part.strip(" ·:–—\N{NO-BREAK SPACE}") not in SAME_EVERYWHERE] == []


def test_dates_are_written_as_each_language_writes_them() -> None:
    moment = datetime(2026, 11, 2, 20, 55, tzinfo=UTC)
    with override("vi"):
        assert date_format(moment, "DATE_FORMAT") == "2 tháng 11 năm 2026"
        assert date_format(moment, "DATETIME_FORMAT") == "20:55 ngày 2 tháng 11 năm 2026"
    with override("en"):
        assert date_format(moment, "DATE_FORMAT") == "2 November 2026"
