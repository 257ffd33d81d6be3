"""Where the allocated time of GPUs went, step by step, as rows of a table with a bar in each."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from monitoring.rollups.selectors import LOST, Throughput

_WIDTH = 100  # of the bar's view box
STANDS_OUT = 0.1  # of what was allocated


@dataclass(frozen=True, slots=True)
class Step:
    """Coordinates are text: a template would write a number with the language's comma."""

    name: str
    label: str
    gpu_seconds: int
    percent: float | None  # of what was allocated
    x: str
    width: str


def step_words() -> Mapping[str, str]:
    """In their order; docs/throughput.md defines each."""
    return {
        "unobserved": _("Unobserved"),
        "idle": pgettext("GPU-time", "Idle"),
        "no_tensor": _("Busy without tensor cores"),
        "tensor_unread": _("Busy, tensor cores not measured"),
        "throttled_lost": _("Lost to a clock held down"),
        "failed_lost": _("Of runs that failed"),
        "useful": _("Useful"),
    }


def steps_of(found: Throughput) -> list[Step]:
    """What was allocated, and what is taken from it one after the other: each bar hangs where the one before it ended,
    and the last one stands on the ground."""
    allocated = found.allocated_gpu_seconds
    amounts = found.steps_gpu_seconds
    words = step_words()
    steps = [_step("allocated", _("Allocated"), allocated, 0, allocated)]
    left = allocated
    for name in ("unobserved", *LOST):
        left -= amounts[name]
        steps.append(_step(name, words[name], amounts[name], left, allocated))
    return [*steps, _step("useful", words["useful"], left, 0, allocated)]


def _step(name: str, label: str, amount: int, begins: int, allocated: int) -> Step:
    scale = _WIDTH / allocated if allocated else 0
    percent = 100 * amount / allocated if allocated else None
    return Step(name, label, amount, percent, f"{begins * scale:.2f}", f"{amount * scale:.2f}")


def look_at(found: Throughput) -> str:
    """What would give most back: the largest of what was lost or not seen, in words for who runs the job."""
    hints = {
        "unobserved": _("Most of it was not observed: ask the centre."),
        "idle": _("The GPUs wait: look at reading data, at batch size, at pauses between steps."),
        "no_tensor": _("No tensor cores: use BF16 or FP8, and sizes that are multiples of 16."),
        "tensor_unread": _("This GPU does not say what its tensor cores do."),
        "throttled_lost": _("The clock was held down by heat or power: tell the centre."),
        "failed_lost": _("It failed: read its log, and save checkpoints more often."),
    }
    amounts = found.steps_us
    most = max(hints, key=lambda name: amounts[name])
    stands_out = amounts[most] >= STANDS_OUT * sum(amounts.values())
    return hints[most] if stands_out else _("Nothing stands out.")
