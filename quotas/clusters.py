"""Which clusters there are, for forms and words. Scheduler, which stands above, registers what it knows of them.

A cluster is offered while a worker of this portal follows it (CLUSTERS of the settings) and operators have not retired
it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.conf import settings


@dataclass(frozen=True, slots=True)
class Known:
    title: str
    is_open: bool  # takes new allocations, moves and jobs


class Registry:
    """By name, in one query."""

    known: Callable[[], Mapping[str, Known]] = staticmethod(lambda: {})


registry = Registry()


def cluster_choices() -> list[tuple[str, str]]:
    """(name, title) of those that take new allocations."""
    known = registry.known()
    rows = {name: known.get(name, Known(name, True)) for name in settings.CLUSTERS}
    return [(name, row.title) for name, row in rows.items() if row.is_open]


def cluster_titles() -> dict[str, str]:
    return {name: row.title for name, row in registry.known().items()}


def cluster_title(name: str) -> str:
    return cluster_titles().get(name, name)


def cluster_is_open(name: str) -> bool:
    """Whether operators let it take anything new."""
    row = registry.known().get(name)
    return row is None or row.is_open
