"""Money and shares on pages: `{% load money %}`.

{{ share|percent }}    basis points: 5000 → 50 %
{{ amount|vnd }}       1500000000 → 1.500.000.000 VND
"""

from django import template

from quotas.units import percent_text, vnd_text

register = template.Library()


@register.filter
def percent(basis_points: int | None) -> str:
    return "" if basis_points is None else percent_text(basis_points)


@register.filter
def vnd(amount_vnd: int | None) -> str:
    return "" if amount_vnd is None else f"{vnd_text(amount_vnd)}\N{NO-BREAK SPACE}VND"
