"""What could be done better with a job's GPUs: a closed list, by thresholds, each with its next step. Pure.

Nothing is advised by what was not measured: below half coverage only that is said, and what a GPU does not say (an A100
its tensor cores) is no reason for anything.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from django.utils.translation import gettext as _

COVERED = 0.5  # of the charged time: figures of less stand for too little
IDLE, LOW = 0.05, 0.5  # busy below: not used; waiting most of the time
NO_TENSOR, LITTLE_TENSOR = 0.005, 0.1  # of the time, while busy
THROTTLED = 0.1
MEMORY_SMALL, MEMORY_FULL = 0.3, 0.95
WORTH_S = 600  # GPU-seconds: shorter jobs are tries


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Shares are 0 to 1; None: not measured."""

    gpu_seconds: int
    coverage: float | None
    busy: float | None
    tensor: float | None
    throttled: float | None
    memory: float | None  # the peak, of what a GPU has
    gpus: int
    gpus_idle: int  # of them never used, where that is known
    declared: bool  # its own FLOPs
    above_possible: bool
    is_slice: bool


class Advice(NamedTuple):
    """`tone` of the note; `again`: the next step is the job's form filled in with this job."""

    code: str
    tone: str
    text: str
    todo: str
    again: bool = False


def advice_for(measured: Measured) -> list[Advice]:
    """The most useful first."""
    words = _words(measured)
    return [words[code] for code in codes_for(measured)]


def codes_for(measured: Measured) -> list[str]:
    found = ["above_possible"] if measured.above_possible else []
    if measured.coverage is None or measured.coverage < COVERED:
        return [*found, "unobserved"]
    if measured.gpu_seconds < WORTH_S:
        return found
    return [*found, *_of_use(measured), *_of_memory(measured)]


def _of_use(measured: Measured) -> Iterator[str]:
    busy, tensor = measured.busy, measured.tensor
    if busy is None:
        return
    if busy < IDLE:
        yield "idle"
        return
    if measured.gpus_idle:
        yield "some_idle"
    elif busy < LOW:
        yield "low"
    if busy >= LOW and tensor is not None and tensor < LITTLE_TENSOR:
        yield "no_tensor" if tensor < NO_TENSOR else "little_tensor"
    if measured.throttled is not None and measured.throttled > THROTTLED:
        yield "throttled"
    if tensor is not None and tensor >= LITTLE_TENSOR and not measured.declared:
        yield "undeclared"


def _of_memory(measured: Measured) -> Iterator[str]:
    if measured.memory is None or measured.busy is None or measured.busy < IDLE:
        return
    if measured.memory > MEMORY_FULL:
        yield "memory_full"
    elif measured.memory < MEMORY_SMALL and not measured.is_slice:
        yield "memory_small"


def _words(measured: Measured) -> dict[str, Advice]:
    found = [
        Advice(
            "above_possible",
            "warn",
            _("The job declared more FLOPs than its GPUs can do: what it declared is counted nowhere."),
            _("See whether every process reports all of the work instead of its own part, and the precision it names."),
        ),
        Advice(
            "unobserved",
            "",
            _("Less than half of its GPU time was measured: too little to say what could be better."),
            _(
                "Nothing on your side: the centre sees to its measurements. Time that was not measured is not "
                "held against you."
            ),
        ),
        Advice(
            "idle",
            "warn",
            _("Its GPUs did next to nothing."),
            _(
                "See in the log whether the program found the GPUs (torch.cuda.is_available(), jax.devices()); "
                "work that needs none belongs on the CPU partition."
            ),
            again=True,
        ),
        Advice(
            "some_idle",
            "warn",
            _("%(idle)d of its %(gpus)d GPUs did nothing from beginning to end.")
            % {"idle": measured.gpus_idle, "gpus": measured.gpus},
            _("Start one process for each GPU (torchrun --nproc-per-node), or ask for fewer GPUs."),
            again=True,
        ),
        Advice(
            "low",
            "warn",
            _("Its GPUs waited for more than half of the time."),
            _(
                "Usually they wait for data: more loader processes, larger files, data on the fast file system; "
                "or larger batches."
            ),
        ),
        Advice(
            "no_tensor",
            "warn",
            _("Its GPUs were busy, and their tensor cores did nothing: most of what they can do was left unused."),
            _("Compute in BF16 or FP8 (torch.autocast), or allow TF32 (torch.set_float32_matmul_precision('high'))."),
        ),
        Advice(
            "little_tensor",
            "",
            _("The tensor cores were active for less than a tenth of the time."),
            _(
                "Larger batches, fused kernels (torch.compile, flash attention) and sizes divisible by 64 keep "
                "them busy."
            ),
        ),
        Advice(
            "throttled",
            "",
            _("The clock of its GPUs was held down for more than a tenth of the time."),
            _("Nothing on your side: power or heat bounds it, and the centre's operators see it."),
        ),
        Advice(
            "undeclared",
            "",
            _("It did not declare its FLOPs: nothing of its work counts for certain as FP8."),
            _('One line in the training loop: saola_report.report(6 * parameters * tokens, precision="fp8").'),
        ),
        Advice(
            "memory_full",
            "",
            _("Its GPUs' memory was nearly full."),
            _(
                "A little more data and the next one runs out of memory: smaller batches, activation "
                "checkpointing, or more GPUs."
            ),
        ),
        Advice(
            "memory_small",
            "",
            _("It used less than a third of its GPUs' memory."),
            _("Larger batches use the GPU better; small work fits a slice of a GPU and costs a part of one."),
            again=True,
        ),
    ]
    return {advice.code: advice for advice in found}
