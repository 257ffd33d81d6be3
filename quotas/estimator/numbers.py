"""Numbers as people write them: "405B", "15,6 nghìn tỷ", "15.6T", "7e9", "1.500.000".

What can be read in one way only is read so in every language. One separator before exactly three digits can be both, so
there the language decides: 1.500 is fifteen hundred in Vietnamese and one and a half in English. A number with an
exponent is a machine's: its one separator is the decimal's.
"""

import re
import unicodedata
from decimal import Decimal
from fractions import Fraction

from django.utils.formats import number_format
from django.utils.translation import get_language
from django.utils.translation import gettext as _

LONGEST = 60  # characters
DAYS_A_YEAR = 365

_WORDS = {  # without Vietnamese marks: tỷ and tỉ, nghìn and ngàn
    **dict.fromkeys(("k", "nghin", "ngan", "thousand"), 3),
    **dict.fromkeys(("m", "mn", "tr", "trieu", "million"), 6),
    **dict.fromkeys(("b", "bn", "ty", "ti", "billion"), 9),
    **dict.fromkeys(("t", "tn", "trillion"), 12),
}
_WRITTEN = re.compile(r"(-?)([0-9][0-9., ]*?) ?(?:e([+-]?[0-9]{1,3}))? ?([a-z]+(?: [a-z]+)?)?")
_DECIMAL = re.compile(r"[0-9]+(?:[.,][0-9]+)?")
_GROUPED = {
    " ": re.compile(r"[1-9][0-9]{0,2}(?: [0-9]{3})+(?:[.,][0-9]+)?"),
    ",": re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:[.][0-9]+)?"),
    ".": re.compile(r"[1-9][0-9]{0,2}(?:[.][0-9]{3})+(?:,[0-9]+)?"),
}
_UNITS = {"vi": ((12, " nghìn tỷ"), (9, " tỷ"), (6, " triệu")), "en": ((12, "T"), (9, "B"), (6, "M"))}


def read(text: str, language: str | None = None) -> Decimal:
    """Of the active language unless another is named. Raises ValueError for what is no number."""
    written = _WRITTEN.fullmatch(" ".join(_bare(text).split())) if len(text) <= LONGEST else None
    if written is None:
        raise ValueError(f"{text[:LONGEST]!r} is no number")
    sign, digits, exponent, words = written.groups()
    places = int(exponent or 0)
    for word in (words or "").split():
        if word not in _WORDS:
            raise ValueError(f"{word!r} is no unit")
        places += _WORDS[word]
    thousands = "" if exponent else "." if _language(language) == "vi" else ","
    return Decimal(f"{sign}{_plain(digits, thousands=thousands)}e{places}")


def _bare(text: str) -> str:
    """In lower case and without Vietnamese marks."""
    return "".join(mark for mark in unicodedata.normalize("NFD", text.lower()) if not unicodedata.combining(mark))


def _plain(digits: str, *, thousands: str) -> str:
    """Digits without grouping, and the decimal separator a point. Raises ValueError for a grouping that is none."""
    is_decimal = _DECIMAL.fullmatch(digits)
    grouping = next((mark for mark, grouped in _GROUPED.items() if grouped.fullmatch(digits)), "")
    if grouping and (grouping == thousands or not is_decimal):
        digits = digits.replace(grouping, "")
    elif not is_decimal:
        raise ValueError(f"{digits!r} is no number")
    return digits.replace(",", ".")


def spell(number: int) -> str:
    """Exactly and short, in the active language: "405B", "15,6 nghìn tỷ", "8.192". `read` reads it back."""
    for places, unit in _UNITS[_language(None)]:
        if number >= 10**places and number % 10 ** (places - 3) == 0:
            return shortest(Decimal(number).scaleb(-places)) + unit
    return whole(number)


def canonical(number: Decimal | int) -> str:
    """For an address: read the same in every language. 15600000000000 → "15600e9", 0.38 → "38e-2"."""
    sign, digits, exponent = Decimal(number).as_tuple()
    value, places = int("".join(map(str, digits))), int(exponent)
    if places < 0:
        while value % 10 == 0 and places < 0:
            value, places = value // 10, places + 1
    else:
        value, places = value * 10**places, 0
        while value and value % 1_000 == 0:
            value, places = value // 1_000, places + 3
    return f"{'-' if sign else ''}{value}" + (f"e{places}" if places else "")


def whole(number: int) -> str:
    """All digits, grouped as the language groups them."""
    return number_format(number, 0, use_l10n=True, force_grouping=True)


def shortest(number: Decimal) -> str:
    """With no more decimals than it has, grouped as the language groups them."""
    places = max(0, -int(number.normalize().as_tuple().exponent))
    return number_format(number, places, use_l10n=True, force_grouping=True)


def about(number: float) -> str:
    """Three significant figures and a word: "30.4 million", "30,4 triệu". All digits below a million."""
    if number < 999_500:
        return whole(round(number))
    for places, text in (
        (15, _("%(number)s quadrillion")),
        (12, _("%(number)s trillion")),
        (9, _("%(number)s billion")),
        (6, _("%(number)s million")),
    ):
        scaled = number / 10**places
        if scaled >= 0.9995:
            return text % {"number": figures(scaled)}
    raise AssertionError("every number from a million up has a word")


def figures(number: float) -> str:
    """Three significant figures, or all those before the decimal separator."""
    places = 2 if number < 9.995 else 1 if number < 99.95 else 0
    return shortest(Decimal(f"{number:.{places}f}"))


def power(number: int, significant: int = 3) -> str:
    """Significant figures and a power of ten: "4.11 × 10^25". The filter `powers` raises it on a page."""
    mantissa, exponent = f"{Decimal(number):.{significant - 1}e}".split("e")
    return f"{number_format(mantissa, significant - 1, use_l10n=True)} × 10^{int(exponent)}"


def percent(share: Fraction | Decimal) -> str:
    """Of 1, to the hundredth of a percent."""
    number = Decimal(share.numerator) / share.denominator if not isinstance(share, Decimal) else share
    return f"{shortest((number * 100).quantize(Decimal('0.01')))}%"


def span(days: float) -> str:
    """In the unit that suits it: "54.2 years", "123 days", "5.3 hours"."""
    for unit_days, least, text in (
        (DAYS_A_YEAR, 2, _("%(number)s years")),
        (1, 2, _("%(number)s days")),
        (1 / 24, 2, _("%(number)s hours")),
        (1 / 1_440, 1, _("%(number)s minutes")),
    ):
        if (number := days / unit_days) >= least:
            return text % {"number": about(number) if number >= 1_000 else figures(number)}
    return _("under a minute")


def _language(language: str | None) -> str:
    return "vi" if (language or get_language() or "vi").startswith("vi") else "en"
