"""Template tags of reviews: `{% load reviews %}`.

{{ profile|expertise }}      "Health, Finance; Virtual assistant"
{{ review.matched|matched }} why the matching chose this reviewer
{{ key|sector }} {{ key|product_group }}
{{ proposal|tranche_texts }} the parts in which an award is given, one text each
{% reviewer_options reviewers %} the options of a choice of them, much faster than a loop of the template
"""

from collections.abc import Iterable
from typing import Any

from django import template
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from quotas.reviews import kinds
from quotas.reviews.expertise import PRODUCT_GROUPS, SECTORS
from quotas.reviews.models import ReviewerProfile
from quotas.reviews.selectors import ReviewerRow, labels_of

register = template.Library()


@register.filter
def expertise(profile: ReviewerProfile) -> str:
    parts = [labels_of(profile.sectors, SECTORS), labels_of(profile.product_groups, PRODUCT_GROUPS)]
    return "; ".join(", ".join(part) for part in parts if part)


register.filter("tranche_texts", kinds.tranche_texts)


@register.filter
def sector(key: str) -> str:
    return "".join(labels_of([key], SECTORS))


@register.filter
def product_group(key: str) -> str:
    return "".join(labels_of([key], PRODUCT_GROUPS))


@register.filter
def matched(why: dict[str, Any]) -> str:
    """One line that explains the matching's choice."""
    if why["is_sector"] and why["is_product_group"]:
        known = _("knows the sector and the product group")
    elif why["is_sector"]:
        known = _("knows the sector")
    elif why["is_product_group"]:
        known = _("knows the product group")
    else:
        known = _("nobody who knows the field had room")
    return _("By expertise and load: %(known)s; had %(load)d open; one of %(choices)d who could") % {
        "known": known,
        "load": why["load_before"],
        "choices": why["choices"],
    }


@register.simple_tag
def reviewer_options(reviewers: Iterable[ReviewerRow]) -> SafeString:
    return format_html_join("", '<option value="{}">{}</option>', ((row.user.pk, row.user) for row in reviewers))
