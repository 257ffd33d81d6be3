"""Time limits as people write them, and back. Slurm keeps whole minutes, so what is written is rounded up."""

import re

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400
LONGEST_S = 366 * DAY_S  # far above any partition's limit; keeps an absurd number out of the arithmetic that follows

_UNIT_S = {
    "d": DAY_S, "day": DAY_S, "days": DAY_S, "ngày": DAY_S,
    "h": HOUR_S, "hr": HOUR_S, "hour": HOUR_S, "hours": HOUR_S, "giờ": HOUR_S,
    "m": MINUTE_S, "min": MINUTE_S, "minute": MINUTE_S, "minutes": MINUTE_S, "phút": MINUTE_S, "p": MINUTE_S,
    "s": 1, "sec": 1, "second": 1, "seconds": 1, "giây": 1,
}  # fmt: skip
_NUMBER = r"\d{1,6}(?:[.,]\d{1,3})?"
_PART = re.compile(rf"\s*({_NUMBER})\s*({'|'.join(sorted(_UNIT_S, key=len, reverse=True))})(?![^\W\d])", re.IGNORECASE)
_CLOCK = re.compile(r"(?:(\d{1,3})-)?(\d{1,5}):(\d{2}):(\d{2})")


class DurationInvalid(ValueError):
    """What was written names no time. `str(error)` says how to write it, in the active language."""


def time_limit_parse(text: str) -> int:
    """Seconds, a multiple of 60, of "2h", "1h30m", "90 phút", "1.5h", "1:30:00" or "1-12:00:00".

    A bare number and "1:30" are refused: Slurm reads them as minutes and as minutes and seconds, most people do not.
    Raises DurationInvalid.
    """
    text = text.strip()
    seconds = _clock_s(text) if ":" in text else _parts_s(text)
    if seconds <= 0:
        raise DurationInvalid(_("The time limit is at least one minute."))
    if seconds > LONGEST_S:
        raise DurationInvalid(_("No job may run that long."))
    return -(-seconds // MINUTE_S) * MINUTE_S


def _clock_s(text: str) -> int:
    found = _CLOCK.fullmatch(text)
    if not found:
        if re.fullmatch(r"\d+:\d+", text):
            raise DurationInvalid(
                _("“%(text)s” can be hours and minutes or minutes and seconds. Write 1:30:00, 1h30m or 90m.")
                % {"text": text}
            )
        raise DurationInvalid(_help())
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return days * DAY_S + hours * HOUR_S + minutes * MINUTE_S + seconds


def _parts_s(text: str) -> int:
    if text.isdecimal():
        raise DurationInvalid(_("Write the unit too: %(n)sm for minutes, %(n)sh for hours.") % {"n": text[:6]})
    total, position = 0.0, 0
    while position < len(text):
        found = _PART.match(text, position)
        if not found:
            raise DurationInvalid(_help())
        total += float(found[1].replace(",", ".")) * _UNIT_S[found[2].lower()]
        position = found.end()
    if not position:
        raise DurationInvalid(_help())
    return round(total)


def _help() -> str:
    return _("Write a time such as 2h, 90m, 1h30m or 1:30:00.")


def duration_text(seconds: int) -> str:
    """For a person, in the active language: "1 day 2 hours 5 minutes". Seconds are shown only below ten minutes."""
    days, rest = divmod(max(seconds, 0), DAY_S)
    hours, rest = divmod(rest, HOUR_S)
    minutes, rest = divmod(rest, MINUTE_S)
    parts = []
    if days:
        parts.append(ngettext("%(n)d day", "%(n)d days", days) % {"n": days})
    if hours:
        parts.append(ngettext("%(n)d hour", "%(n)d hours", hours) % {"n": hours})
    if minutes:
        parts.append(ngettext("%(n)d minute", "%(n)d minutes", minutes) % {"n": minutes})
    if not parts or (rest and seconds < 10 * MINUTE_S):
        parts.append(ngettext("%(n)d second", "%(n)d seconds", rest) % {"n": rest})
    return " ".join(parts)


def duration_input(seconds: int) -> str:
    """The same as a person would type it into the form: "26h5m". `time_limit_parse` reads it back unchanged."""
    hours, rest = divmod(seconds, HOUR_S)
    minutes = -(-rest // MINUTE_S)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes or not hours else "")


def slurm_time(seconds: int) -> str:
    """For --time: "1-02:05:00"."""
    days, rest = divmod(seconds, DAY_S)
    hours, rest = divmod(rest, HOUR_S)
    minutes, seconds_left = divmod(rest, MINUTE_S)
    clock = f"{hours:02}:{minutes:02}:{seconds_left:02}"
    return f"{days}-{clock}" if days else clock
