"""{{ text|powers }}: "10^25" and "N^0.66" in a text with their exponents raised."""

import re

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

register = template.Library()


@register.filter
def powers(text: object) -> SafeString:
    return mark_safe(re.sub(r"(10|N)\^(\d+(?:[.,]\d+)?)", r"\1<sup>\2</sup>", escape(str(text))))  # noqa: S308  escaped before
