"""Which tasks a job array has, as people write it and as Slurm shows it ("0-99%8", "1,3,5-7", "0-8:4"). Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.translation import gettext as _

MOST_TASKS = 1_000
LARGEST_INDEX = 1_000  # Slurm's MaxArraySize is 1,001 unless a site raises it
_ITEM = re.compile(r"(\d{1,7})(?:-(\d{1,7})(?::(\d{1,7}))?)?")


class ArrayInvalid(ValueError):
    """What was written names no tasks. `str(error)` says how to write it, in the active language."""


@dataclass(frozen=True)
class Array:
    tasks: tuple[int, ...]  # ascending, each once
    at_once: int = 0  # how many may run at the same time; 0: as many as fit

    def __str__(self) -> str:
        """As sbatch takes it, always the same for the same tasks."""
        return ranges(self.tasks) + (f"%{self.at_once}" if self.at_once else "")


def array_parse(text: str) -> Array:
    """Raises ArrayInvalid."""
    written, percent, at_once = "".join(text.split()).partition("%")
    if percent and not (at_once.isdecimal() and at_once.isascii() and 0 < int(at_once[:8]) <= MOST_TASKS):
        raise ArrayInvalid(_("After % comes how many tasks may run at once, for example 0-99%8."))
    found: set[int] = set()
    for item in written.split(","):
        found.update(_item_tasks(item))
        if len(found) > MOST_TASKS:
            raise ArrayInvalid(_("An array has at most %(most)d tasks.") % {"most": MOST_TASKS})
    return Array(tuple(sorted(found)), int(at_once or 0))


def _item_tasks(item: str) -> range:
    match = _ITEM.fullmatch(item) if item.isascii() else None
    if match is None:
        raise ArrayInvalid(_("Write the tasks such as 0-99, 0-99%8 (eight at once), 1,3,7 or 0-90:10."))
    first = int(match[1])
    last, step = int(match[2] or first), int(match[3] or 1)
    if last < first or step < 1:
        raise ArrayInvalid(_("“%(item)s” names no task.") % {"item": item})
    if last > LARGEST_INDEX:
        raise ArrayInvalid(_("The largest task number is %(most)d.") % {"most": LARGEST_INDEX})
    return range(first, last + 1, step)


def tasks_shown(text: str) -> tuple[int, ...]:
    """The tasks of a line of squeue ("4-9%2", "7") or of a record of sacct ("25_[4-9%2]"). Of what is cut off, none."""
    bracket = re.fullmatch(r"\d+_(?:\[([^\]]*)\]|(\d+))", text)
    if bracket:
        text = bracket[1] if bracket[1] is not None else bracket[2]
    found: set[int] = set()
    for item in text.partition("%")[0].split(","):
        match = _ITEM.fullmatch(item.strip())
        if match:
            found.update(range(int(match[1]), int(match[2] or match[1]) + 1, int(match[3] or 1)))
    return tuple(sorted(found))


def ranges(tasks: Iterable[int]) -> str:
    """ "0-4,7" of 0, 1, 2, 3, 4, 7."""
    parts: list[list[int]] = []
    for task in sorted(tasks):
        if parts and parts[-1][-1] == task - 1:
            parts[-1] = [parts[-1][0], task]
        else:
            parts.append([task])
    return ",".join("-".join(map(str, part)) for part in parts)
