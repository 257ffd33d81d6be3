"""The units of the ledger: GPU-seconds of a named GPU type, which people read as GPU-hours, and VND, which has no
decimals."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from django.utils.formats import number_format

SECONDS_PER_HOUR = 3_600
VND = "vnd"  # the ledger's unit for money


def ledger_unit(gpu_type: str) -> str:
    """The ledger's unit for a GPU type (Slurm's GRES type in lower case)."""
    return f"gpu:{gpu_type}"


def gpu_hours_text(gpu_seconds: int, *, up: bool = False) -> str:
    """GPU-hours for a person, in the active language, with two places where needed.

    Rounded down, so that nobody reads more than there is; `up` for what something needs.
    """
    hours = Decimal(gpu_seconds) / SECONDS_PER_HOUR
    places = 0 if gpu_seconds % SECONDS_PER_HOUR == 0 else 2
    rounding = ROUND_CEILING if up else ROUND_FLOOR
    return number_format(hours.quantize(Decimal(10) ** -places, rounding=rounding), places, force_grouping=True)


def vnd_text(amount_vnd: int) -> str:
    """VND for a person, in the active language, without the unit."""
    return number_format(amount_vnd, 0, force_grouping=True)


def percent_text(basis_points: int) -> str:
    """5,000 basis points → "50 %", 3,350 → "33.5 %", in the active language."""
    places = 0 if basis_points % 100 == 0 else 1 if basis_points % 10 == 0 else 2
    return f"{number_format(Decimal(basis_points) / 100, places)}\N{NO-BREAK SPACE}%"
