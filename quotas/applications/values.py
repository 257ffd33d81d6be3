"""From what a person typed to what is kept, field by field, and back into the box of a form. An empty box is None."""

from collections.abc import Callable
from datetime import date
from typing import Any

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from quotas.applications.errors import Invalid
from quotas.applications.fields import Field, Kind
from quotas.estimator.numbers import LONGEST, read, spell, whole
from quotas.texts import is_plain_name, is_plain_text

LINE_LENGTH = 200
NAME_LEAST = 3


def value_of(field: Field, text: str) -> str | int | None:
    """What is kept of a text for a field. Raises Invalid with the field's key."""
    text = text.replace("\r\n", "\n").strip()
    if not text:
        return None
    try:
        return _READERS[field.kind](field, text)
    except Invalid as error:
        raise Invalid(error.message, field=field.key) from error


def text_of(field: Field, value: Any) -> str:
    """A kept value for the box of a form, in the active language: `value_of` reads it back."""
    if value is None:
        return ""
    return whole(value) if field.kind == Kind.NUMBER else str(value)


def shown_of(field: Field, value: Any) -> str:
    """A kept value for a reader."""
    if value is None:
        return ""
    if field.kind == Kind.NUMBER:
        return spell(value) if field.key in ("parameters", "tokens") else whole(value)
    if field.kind == Kind.DAY:
        return date_format(date.fromisoformat(value), "DATE_FORMAT")
    return str(field.shown(value))


def _name(field: Field, text: str) -> str:
    text = " ".join(text.split(" "))
    if not NAME_LEAST <= len(text) <= LINE_LENGTH or not is_plain_name(text):
        raise Invalid(_("Use 3 to 200 characters on one line, without straight quotation marks and \\ ` $ ; | < >."))
    return text


def _line(field: Field, text: str) -> str:
    if len(text) > LINE_LENGTH or "\n" in text or not is_plain_text(text):
        raise Invalid(_("Use at most 200 characters on one line."))
    return text


def _text(field: Field, text: str) -> str:
    most = field.most or 10_000
    if len(text) > most or not is_plain_text(text):
        raise Invalid(_("Use at most %(most)s characters, without control characters.") % {"most": whole(most)})
    return text


def _number(field: Field, text: str) -> int:
    try:
        number = read(text) if len(text) <= LONGEST else None
    except ValueError:
        number = None
    if number is None:
        raise Invalid(_("Write a whole number, such as %(example)s.") % {"example": whole(1_500)})
    most = field.most or 10**15
    if not field.least <= number <= most:
        raise Invalid(
            _("Write a number from %(least)s to %(most)s.") % {"least": whole(field.least), "most": whole(most)}
        )
    if number % 1:
        raise Invalid(_("Write a whole number, such as %(example)s.") % {"example": whole(1_500)})
    return int(number)


def _choice(field: Field, text: str) -> str:
    if text not in dict(field.choices):
        raise Invalid(_("Choose one of the list."))
    return text


def _day(field: Field, text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise Invalid(_("Write a day of the calendar.")) from error


def _file(field: Field, text: str) -> str:
    raise Invalid(_("This question is answered with a file."))


_READERS: dict[Kind, Callable[[Field, str], str | int]] = {
    Kind.NAME: _name,
    Kind.LINE: _line,
    Kind.TEXT: _text,
    Kind.NUMBER: _number,
    Kind.CHOICE: _choice,
    Kind.DAY: _day,
    Kind.FILE: _file,
}
