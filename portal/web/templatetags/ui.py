"""Template tags of the shell: `{% load ui %}`.

{% icon "server" %}                      one icon, inlined, hidden from screen readers: put a text beside it
{% badge "good" "check" text %}          a status: tone (good, busy, warn, bad, quiet), icon, word
{{ seconds|gpu_hours }}                  GPU-seconds as GPU-hours: 3600 → 1, 90 → 0.03
{{ seconds|duration }}                   "2 h 5 min"
{{ count|number }}                       1234567 → 1.234.567 in Vietnamese, 1,234,567 in English
{{ points|basis_points }}               a part of 10,000 as a percentage: 8333 → 83.33 %
{% bar consumed=… held=… free=… over=… %} a balance as a stacked bar with its legend, all in GPU-seconds
{% query page=2 %}                       the page's query string with these changed
"""

import re
from functools import lru_cache
from pathlib import Path

from django import template
from django.conf import settings
from django.forms import BoundField, CheckboxInput, CheckboxSelectMultiple, FileInput, RadioSelect, Select, Textarea
from django.template import Context
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

register = template.Library()

ICONS = Path(settings.BASE_DIR, "templates", "static", "vendor", "tabler-icons", "icons")
SECONDS_AN_HOUR = 3600
TONES = ("good", "busy", "warn", "bad", "quiet")


@lru_cache(maxsize=256)
def _icon_markup(name: str) -> SafeString:
    if not re.fullmatch(r"[a-z0-9-]+", name):
        raise ValueError(f"no icon is called {name!r}")
    markup = Path(ICONS, f"{name}.svg").read_text(encoding="utf-8")
    markup = re.sub(r"<!--.*?-->", "", markup, flags=re.DOTALL)
    markup = re.sub(r'\s*<path stroke="none" d="M0 0h24v24H0z" fill="none" />', "", markup)
    # Size and stroke width are the stylesheet's; the file's own classes name nothing there.
    markup = re.sub(r'\s(width|height|stroke-width|class|xmlns)="[^"]*"', "", markup)
    markup = re.sub(r"\s+", " ", markup).replace("<svg", '<svg class="icon" aria-hidden="true" focusable="false"', 1)
    return mark_safe(markup.replace("> <", "><").strip())  # noqa: S308  a file of the repository


@register.simple_tag
def icon(name: str) -> SafeString:
    return _icon_markup(name)


@register.simple_tag
def badge(tone: str, icon_name: str, text: object) -> SafeString:
    if tone not in TONES:
        raise ValueError(f"a badge's tone is one of {', '.join(TONES)}, not {tone!r}")
    return format_html('<span class="status status-{}">{}{}</span>', tone, _icon_markup(icon_name), text)


@register.filter
def number(value: float | None, decimals: int = 0) -> str:
    """A number with the language's separators; nothing for None."""
    return "" if value is None else number_format(value, decimal_pos=decimals, use_l10n=True, force_grouping=True)


@register.filter
def basis_points(points: int | None) -> str:
    """A part of 10,000 as a percentage with two decimals; nothing for None."""
    return "" if points is None else f"{number(points / 100, 2)}\N{NO-BREAK SPACE}%"


@register.filter
def gpu_hours(gpu_seconds: int | None) -> str:
    """GPU-hours without the unit, up to two decimals: figures that are said to add up are seen to."""
    if gpu_seconds is None:
        return ""
    hours = gpu_seconds / SECONDS_AN_HOUR
    if gpu_seconds and abs(hours) < 0.005:
        return ("−" if hours < 0 else "") + "<" + number(0.01, 2)
    decimals = 2
    while decimals and round(hours, decimals) == round(hours, decimals - 1):
        decimals -= 1
    return number(round(hours, decimals), decimals)


@register.filter
def duration(seconds: float | None) -> str:
    """The two largest units of a time: "3 d 4 h", "2 h 5 min", "40 s"."""
    if seconds is None:
        return ""
    left = int(seconds)
    units = [(86_400, _("d")), (3600, _("h")), (60, _("min")), (1, _("s"))]
    parts = []
    for size, unit in units:
        if left >= size:
            parts.append(f"{left // size} {unit}")
            left %= size
        elif parts:
            break
    return " ".join(parts[:2]) or f"0 {_('s')}"


@register.filter
def initials(name: str) -> str:
    """First letters of the first and the last word; Vietnamese given names come last."""
    words = str(name).split()
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper()


@register.filter
def control(field: BoundField) -> SafeString:
    """The field's widget with the classes of the one form style."""
    widget = field.field.widget
    if isinstance(widget, CheckboxInput | RadioSelect | CheckboxSelectMultiple):
        css = "form-check-input"
    elif isinstance(widget, Select):
        css = "form-select"
    else:
        css = "form-control"
    if isinstance(widget, Textarea) and "code" in widget.attrs.get("class", ""):
        css += " code"
    if field.errors:
        css += " is-invalid"
    return field.as_widget(attrs={"class": css})


@register.filter
def is_checkbox(field: BoundField) -> bool:
    return isinstance(field.field.widget, CheckboxInput)


@register.filter
def is_group(field: BoundField) -> bool:
    return isinstance(field.field.widget, RadioSelect | CheckboxSelectMultiple)


@register.filter
def is_file(field: BoundField) -> bool:
    return isinstance(field.field.widget, FileInput)


@register.inclusion_tag("components/bar.html")
def bar(*, consumed: int = 0, held: int = 0, free: int = 0, over: int = 0) -> dict[str, object]:
    """All amounts in GPU-seconds. `over` is the part of `consumed` that no grant covered."""
    parts = [
        ("consumed", _("Consumed of the grant") if over else _("Consumed"), consumed - over),
        ("held", _("Held"), held),
        ("free", _("Free"), max(free, 0)),
        ("over", _("Overrun"), over),
    ]
    total = sum(amount for _name, _label, amount in parts)
    segments, x = [], 0.0
    for name, label, amount in parts:
        if amount > 0 or name != "over":
            width = 100 * amount / total if total else 0
            segments.append({"name": name, "label": label, "amount": amount, "x": f"{x:.3f}", "width": f"{width:.3f}"})
            x += width
    return {"segments": segments, "total": total}


@register.simple_tag(takes_context=True)
def query(context: Context, **changes: object) -> str:
    """The current query string with some parameters changed; "" or None takes one away. Begins with "?"."""
    parameters = context["request"].GET.copy()
    for name, value in changes.items():
        if value in (None, ""):
            parameters.pop(name, None)
        else:
            parameters[name] = str(value)
    return "?" + parameters.urlencode()
