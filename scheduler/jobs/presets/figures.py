"""The figures of a preset as they come out of a file, whoever wrote it: each has its kind, or is refused."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _

LANGUAGES = ("en", "vi")
MOST_CHARACTERS = 1_000  # of one text
MOST_ENTRIES = 100  # of one list
MOST = 10**12  # of any number


class PresetInvalid(Exception):
    """The files of a preset contradict themselves. For its author; `str(error)` is a sentence that names the fault."""

    def __init__(self, text: str | Promise, **figures: object) -> None:
        self.text, self.figures, self.where = text, figures, ""
        super().__init__(str(text))

    def __str__(self) -> str:
        sentence = str(self.text) % self.figures
        return (
            gettext("%(where)s: %(sentence)s") % {"where": self.where, "sentence": sentence} if self.where else sentence
        )


class Texts:
    """One text in each language of the portal."""

    def __init__(self, by_language: Mapping[str, str]) -> None:
        self.by_language = dict(by_language)

    def __str__(self) -> str:
        return self.by_language.get(get_language() or "", self.by_language["en"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Texts) and other.by_language == self.by_language

    def __hash__(self) -> int:
        return hash(tuple(sorted(self.by_language.items())))


def texts(entry: Mapping[str, Any], key: str) -> Texts:
    found = entry.get(key)
    if not isinstance(found, dict) or set(found) != set(LANGUAGES) or not all(map(_is_text, found.values())):
        raise PresetInvalid(_("“%(key)s” is a text in each of %(languages)s."), key=key, languages=", ".join(LANGUAGES))
    return Texts(found)


def text(entry: Mapping[str, Any], key: str) -> str:
    found = entry.get(key, "")
    if (found and not _is_text(found)) or not isinstance(found, str):
        raise PresetInvalid(_("“%(key)s” is a text of at most %(most)d characters."), key=key, most=MOST_CHARACTERS)
    return found


def whole(entry: Mapping[str, Any], key: str, *, least: int, default: int | None = None) -> int:
    found = entry.get(key, default)
    if not isinstance(found, int) or isinstance(found, bool) or not least <= found <= MOST:
        raise PresetInvalid(_("“%(key)s” is a whole number, at least %(least)d."), key=key, least=least)
    return found


def number(entry: Mapping[str, Any], key: str) -> float | None:
    found = entry.get(key)
    if found is None:
        return None
    if not isinstance(found, int | float) or isinstance(found, bool) or not math.isfinite(found) or abs(found) > MOST:
        raise PresetInvalid(_("“%(key)s” is a number."), key=key)
    return found


def flag(entry: Mapping[str, Any], key: str) -> bool:
    found = entry.get(key, False)
    if not isinstance(found, bool):
        raise PresetInvalid(_("“%(key)s” is true or false."), key=key)
    return found


def listed(entry: Mapping[str, Any], key: str, known: Sequence[str] = ()) -> tuple[str, ...]:
    """Different texts, all of them among `known` where that is not empty."""
    found = entry.get(key, ())
    if not isinstance(found, list | tuple) or len(found) > MOST_ENTRIES or not all(map(_is_text, found)):
        raise PresetInvalid(_("“%(key)s” is a list of at most %(most)d texts."), key=key, most=MOST_ENTRIES)
    if len(set(found)) < len(found) or (known and not set(found) <= set(known)):
        raise PresetInvalid(
            _("“%(key)s” are some of %(known)s, each once."), key=key, known=", ".join(known) or gettext("its texts")
        )
    return tuple(found)


def chosen(entry: Mapping[str, Any], key: str, known: Sequence[str], default: str = "") -> str:
    found = entry.get(key, default)
    if not isinstance(found, str) or found not in known:
        raise PresetInvalid(_("“%(key)s” is one of %(known)s."), key=key, known=", ".join(known))
    return found


def tables(entry: Mapping[str, Any], key: str, *, most: int) -> list[dict[str, Any]]:
    found = entry.get(key, [])
    if not isinstance(found, list) or len(found) > most or not all(isinstance(one, dict) for one in found):
        raise PresetInvalid(_("“%(key)s” are at most %(most)d tables."), key=key, most=most)
    return found


def only(entry: Mapping[str, Any], known: set[str]) -> None:
    if set(entry) - known:
        raise PresetInvalid(_("Unknown here: %(names)s."), names=", ".join(sorted(set(entry) - known))[:200])


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MOST_CHARACTERS and value.isprintable()
