"""From what a person typed to shell words. The only place where a value becomes script text.

Two walls, each enough alone: a value must have its kind's form, and it is quoted as POSIX shells read it, inside single
quotes unless it consists of harmless letters. A line end, a NUL, a control, format or separator character is refused
everywhere: none of them is ever meant, and some end a line where a reader of the script does not see it.
"""

import re
import shlex
import unicodedata

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from scheduler.jobs.preflight import Problem
from scheduler.jobs.presets.definition import Field

MAX_CHARACTERS = 2000
MAX_WORDS = 200
# Control, format (invisible, bidirectional), half a surrogate pair, line and paragraph separators.
_REFUSED_CATEGORIES = frozenset(["Cc", "Cf", "Cs", "Zl", "Zp"])

_HUB = re.compile(r"/?[A-Za-z0-9][A-Za-z0-9._/-]{0,400}")
_FORMS: dict[str, tuple[re.Pattern[str], str | Promise]] = {
    "int": (re.compile(r"-?\d{1,12}"), _("This must be a whole number.")),
    "number": (re.compile(r"-?\d{1,12}(?:\.\d{1,12})?(?:[eE][+-]?\d{1,3})?"), _("This must be a number: 0.1 or 2e-5.")),
    "name": (
        re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"),
        _("Use letters, digits, “.”, “_” and “-”, beginning with a letter or digit."),
    ),
    "names": (
        re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:,[A-Za-z0-9][A-Za-z0-9._-]*)*"),
        _("Write names, separated by commas without spaces."),
    ),
    "path": (
        re.compile(r"(?![-~])[^:,\\]{1,500}"),
        _("Write the path from “/”, or as it is seen from your home folder, without “~”, “:”, “,” and “\\”."),
    ),
    "hub": (_HUB, _("Write a name on Hugging Face, such as Qwen/Qwen2.5-7B, or the path of a folder from “/”.")),
}


class ValueRefused(Exception):
    """`problem` says why, beside the field."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.code)


def word(value: str) -> str:
    """`value` as one shell word. Raises ValueError for what `clean` refuses: nobody may quote without cleaning."""
    if refused_character(value):
        raise ValueError("a character that no script of ours holds")
    return shlex.quote(value)


def refused_character(value: str) -> str:
    """The first character that may stand in no value, or ""."""
    return next((letter for letter in value if unicodedata.category(letter) in _REFUSED_CATEGORIES), "")


def field_text(field: Field, given: str) -> str:
    """The right side of an assignment: one shell word, or an array of words. Raises ValueRefused."""
    value = clean(field.name, given)
    if not value:
        if field.required:
            raise _refused(field.name, "required", _("This field is needed."))
        return "()" if field.kind == "words" else word("")
    if field.kind == "words":
        return f"({' '.join(word(part) for part in words(field.name, value))})"
    if field.kind == "choice":
        if value not in field.choices:
            raise _refused(field.name, "choice", _("Choose one of: %(choices)s."), choices=", ".join(field.choices))
        return word(value)
    if field.kind in _FORMS:
        form, sentence = _FORMS[field.kind]
        # Digits of other scripts are digits to Python's \d, and to no program that a job starts.
        if not form.fullmatch(value) or (field.kind in ("int", "number") and not value.isascii()):
            raise _refused(field.name, field.kind, sentence)
    if field.kind in ("int", "number"):
        _bounds_check(field, float(value))
    if field.kind == "int":
        value = str(int(value))  # 08 would be octal to the shell
    return word(value)


def clean(name: str, given: str) -> str:
    """Without spaces around it, composed (NFC). Raises ValueRefused for what no field may hold."""
    letter = refused_character(given)
    if letter:
        text = _("This holds a character that cannot be used here (U+%(letter)s): line ends and invisible characters.")
        raise _refused(name, "character", text, letter=f"{ord(letter):04X}")
    value = unicodedata.normalize("NFC", given.strip())
    if len(value) > MAX_CHARACTERS:
        raise _refused(name, "length", _("This is too long: at most %(most)d characters."), most=MAX_CHARACTERS)
    return value


def words(name: str, value: str) -> list[str]:
    """Split as a shell would, quotes and all, but nothing is ever expanded. Raises ValueRefused."""
    try:
        parts = shlex.split(value)
    except ValueError as error:
        raise _refused(name, "quotes", _("A quotation mark is not closed.")) from error
    if len(parts) > MAX_WORDS:
        raise _refused(name, "length", _("These are too many words: at most %(most)d."), most=MAX_WORDS)
    return parts


def _bounds_check(field: Field, number: float) -> None:
    if (field.least is not None and number < field.least) or (field.most is not None and number > field.most):
        text = _("This must lie between %(least)s and %(most)s.")
        raise _refused(field.name, "bounds", text, least=field.least, most=field.most)


def _refused(name: str, code: str, text: str | Promise, **figures: object) -> ValueRefused:
    return ValueRefused(Problem(code, name, text, tuple(figures.items())))
