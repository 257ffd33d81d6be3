from typing import Any

from django import template
from django.template.context import Context

from quotas.clusters import cluster_titles

register = template.Library()
_KEPT = "cluster_titles"


@register.simple_tag(takes_context=True)
def cluster_title(context: Context, name: str) -> str:
    """What a cluster is called. However long the list, the database is asked once for a page."""
    page: Any = context.render_context.dicts[0]  # what every included template sees
    if _KEPT not in page:
        page[_KEPT] = cluster_titles()
    title: str = page[_KEPT].get(name, name)
    return title
