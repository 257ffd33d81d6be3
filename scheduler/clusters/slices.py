"""GPU types that are parts of others (NVIDIA MIG), and what their seconds cost. The table is `GpuSlice`.

Slurm counts a slice as one GPU, in its limits and its counters alike: no weight of its whole-number TRES could hold a
seventh. So a slice is held for as a whole GPU, as Slurm itself sets it aside until the job ends; then the share is
charged, rounded up for each record, the rest of the hold returns, and the QOS's limit is raised by what the counter has
and nobody is charged for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from scheduler.clusters.models import GpuSlice


@dataclass(frozen=True, slots=True)
class Share:
    """`parts` of `whole` of a GPU of type `parent`."""

    parent: str
    parts: int
    whole: int

    def __str__(self) -> str:
        return f"{self.parts}/{self.whole}"

    def of(self, slice_seconds: int) -> int:
        """GPU-seconds of the parent that so many seconds of slices cost, rounded up."""
        return -(-slice_seconds * self.parts // self.whole)


@dataclass(frozen=True)
class Slices:
    """All of them, read once for many records."""

    by_type: Mapping[str, Share] = field(default_factory=dict)

    def get(self, gpu_type: str) -> Share | None:
        return self.by_type.get(gpu_type)

    def parent(self, gpu_type: str) -> str:
        """The type whose allocations pay: the type itself where it is no slice."""
        share = self.by_type.get(gpu_type)
        return share.parent if share else gpu_type

    def of_parent(self, gpu_type: str) -> list[str]:
        """The type and its slices: what an allocation of the type can be used on."""
        return [gpu_type, *sorted(name for name, share in self.by_type.items() if share.parent == gpu_type)]

    def charged(self, gpu_type: str, gpu_seconds: int) -> int:
        """What `gpu_seconds` as Slurm counts them cost, in GPU-seconds of the allocation's type."""
        share = self.by_type.get(gpu_type)
        return share.of(gpu_seconds) if share else gpu_seconds

    def whole_gpus(self, gpu_types: Iterable[str]) -> list[str]:
        return [name for name in gpu_types if name not in self.by_type]


def slices_read() -> Slices:
    return slices_of(GpuSlice.objects.values_list("gpu_type", "parent", "parts", "whole"))


def slices_of(rows: Iterable[tuple[str, str, int, int]]) -> Slices:
    """Of rows that were read already: type, parent, parts, whole."""
    return Slices({gpu_type: Share(parent, parts, whole) for gpu_type, parent, parts, whole in rows})
