"""What the commands about an organisation's days are asked with."""

from argparse import ArgumentParser
from collections.abc import Mapping
from datetime import date
from typing import Any

from django.core.management.base import CommandError

from monitoring.days import EARLIEST, LATEST, Days, date_read
from portal.people.models import Organisation


def arguments_add(parser: ArgumentParser) -> None:
    parser.add_argument("--organisation", required=True, metavar="SLUG")
    days_add(parser)


def days_add(parser: ArgumentParser) -> None:
    parser.add_argument("--from", required=True, metavar="DATE", dest="first", help="YYYY-MM-DD")
    parser.add_argument("--to", required=True, metavar="DATE", dest="last", help="YYYY-MM-DD, included")


def organisation_and_days(options: Mapping[str, Any]) -> tuple[Organisation, Days]:
    """Raises CommandError."""
    days = days_of(options)
    return organisation_of(options), days


def organisation_of(options: Mapping[str, Any]) -> Organisation:
    """Raises CommandError."""
    organisation = Organisation.objects.filter(slug=options["organisation"]).first()
    if organisation is None:
        raise CommandError(f"There is no organisation {options['organisation']!r}.")
    return organisation


def days_of(options: Mapping[str, Any]) -> Days:
    """Raises CommandError."""
    first, last = options["first"], options["last"]
    ends = [_date(option, text) for option, text in (("--from", first), ("--to", last))]
    try:
        return Days(*ends)
    except ValueError as error:
        raise CommandError(f"--to {last} lies before --from {first}.") from error


def _date(option: str, text: str) -> date:
    try:
        return date_read(text)
    except ValueError as error:
        raise CommandError(f"{option}: {text!r} is no date from {EARLIEST} to {LATEST}, written YYYY-MM-DD.") from error
