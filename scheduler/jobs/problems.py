"""A job's shape, and what stands in its way: each problem beside its field, with figures and what would fit. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from scheduler.jobs.durations import duration_input, duration_text


@dataclass(frozen=True)
class Shape:
    gpu_type: str
    gpus_per_node: int
    nodes: int
    time_limit_s: int
    cpus_per_node: int = 0  # where there are no GPUs; beside them Slurm gives the partition's share

    @property
    def gpus(self) -> int:
        return self.gpus_per_node * self.nodes


@dataclass(frozen=True)
class Fix:
    """A change of one field that would make it fit, as the form would be filled in."""

    field: str
    value: str
    label: str


@dataclass(frozen=True)
class Problem:
    code: str
    field: str  # the form's field that it belongs beside
    text: str | Promise
    figures: tuple[tuple[str, object], ...] = ()
    fixes: tuple[Fix, ...] = ()

    def __str__(self) -> str:
        return str(self.text) % dict(self.figures) if self.figures else str(self.text)


def problem(code: str, field: str, text: str | Promise, fixes: Iterable[Fix] = (), /, **figures: object) -> Problem:
    return Problem(code, field, text, tuple(figures.items()), tuple(fixes))


def time_fix(seconds: int) -> Fix:
    label = str(_("Set the time limit to %(time)s") % {"time": duration_text(seconds)})
    return Fix("time_limit", duration_input(seconds), label)
