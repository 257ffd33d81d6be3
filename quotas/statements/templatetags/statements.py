"""{% load statements %}: {{ value|cell:column.kind }} writes one cell of a document's table in the active language."""

from datetime import date
from decimal import Decimal

from django import template
from django.utils.formats import date_format, number_format

from quotas.statements.renderers.document import Cell, hours

register = template.Library()
NUMBERS = {"gpu_seconds": 0, "gpu_hours": 2, "vnd": 0, "count": 0, "measure": 3}


@register.filter
def cell(value: Cell, kind: str) -> str:
    if value is None:
        return ""
    if isinstance(value, date):
        return date_format(value, "d/m/Y")
    if isinstance(value, int | Decimal) and kind in NUMBERS:
        text = number_format(abs(Decimal(value)), NUMBERS[kind], use_l10n=True, force_grouping=True)
        return f"−{text}" if value < 0 else text
    return str(value)


@register.filter
def is_number(kind: str) -> bool:
    return kind in NUMBERS


@register.filter
def cell_hours(gpu_seconds: int) -> str:
    """GPU-seconds as GPU-hours with two places."""
    return cell(hours(gpu_seconds), "gpu_hours")


@register.filter
def minus(value: int) -> int:
    return -value
