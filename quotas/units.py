"""The one unit of the ledger for compute: GPU-seconds of a named GPU type. People read GPU-hours."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from django.utils.formats import number_format

SECONDS_PER_HOUR = 3_600


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
