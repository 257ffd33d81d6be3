"""The shapes that a start is asked for: the chosen one, and others of which one might start sooner."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from portal.clock import now
from portal.people.models import User
from portal.people.selectors import projects_of
from quotas.allocations.models import Allocation
from quotas.allocations.selectors import usable_allocations
from scheduler.clusters.models import Cluster
from scheduler.jobs.durations import MINUTE_S, duration_input
from scheduler.jobs.preflight import Facts, Shape, preflight
from scheduler.jobs.selectors import cluster_of, facts_get

OTHERS_MOST = 3
SHORTEST_S = 10 * MINUTE_S  # half of a time is proposed down to this


@dataclass(frozen=True)
class Candidate:
    """`partition`: where it would run. `fix`: what one click changes in the form to take it; "" for the chosen one."""

    allocation: Allocation
    cluster: Cluster
    shape: Shape
    partition: str
    fix: str = ""
    fits: bool = True


def candidates(*, person: User, allocation: Allocation, shape: Shape, asked_partition: str) -> list[Candidate]:
    """The chosen shape first, also where it does not fit; others only where they do. Empty for who may not use it."""
    is_member = projects_of(person).filter(pk=allocation.project_id).exists()
    place = _Place.of(person, allocation) if is_member else None
    if place is None:
        return []
    chosen = place.candidate(shape, asked_partition, "")
    others = [
        *(place.candidate(other, asked_partition, fix) for other, fix in _smaller(shape)),
        *_elsewhere(person, place, chosen),
    ]
    return [chosen, *[other for other in others if other.fits][:OTHERS_MOST]]


def _smaller(shape: Shape) -> Iterator[tuple[Shape, str]]:
    """Fewer GPUs, and half the time, each with the form's field that says so."""
    if shape.nodes > 1:
        nodes = shape.nodes // 2
        yield replace(shape, nodes=nodes), f"nodes={nodes}"
    elif shape.gpus_per_node > 1:
        gpus = shape.gpus_per_node // 2
        yield replace(shape, gpus_per_node=gpus), f"gpus_per_node={gpus}"
    half_s = -(-shape.time_limit_s // (2 * MINUTE_S)) * MINUTE_S
    if half_s >= SHORTEST_S:
        yield replace(shape, time_limit_s=half_s), f"time_limit={duration_input(half_s)}"


@dataclass(frozen=True)
class _Place:
    """An allocation, with what the preflight needs to know about it."""

    allocation: Allocation
    cluster: Cluster
    facts: Facts

    @classmethod
    def of(cls, person: User, allocation: Allocation) -> "_Place | None":
        cluster = cluster_of(allocation)
        if cluster is None:
            return None
        return cls(allocation, cluster, facts_get(person=person, allocation=allocation, cluster=cluster, moment=now()))

    def candidate(self, shape: Shape, partition: str, fix: str) -> Candidate:
        verdict = preflight(shape, self.facts, partition)
        return Candidate(self.allocation, self.cluster, shape, verdict.partition, fix, verdict.fits)


def _elsewhere(person: User, place: _Place, chosen: Candidate) -> Iterator[Candidate]:
    """The same size on another GPU type that the project may use, or in another partition of the same GPUs: a slice is
    not the same size, and CPUs alone are something else."""
    here = (place.allocation.cluster, place.allocation.gpu_type)
    for row in usable_allocations(person, place.allocation.project):
        other = row.allocation
        if (other.cluster, other.gpu_type) != here and (there := _Place.of(person, other)):
            shape = replace(chosen.shape, gpu_type=other.gpu_type)
            yield there.candidate(shape, "", f"allocation={other.pk}")
    kinds = {row.name: (row.is_cpu, row.gpu_type, row.share) for row in place.facts.partitions}
    for partition in place.facts.partitions:
        if partition.name != chosen.partition and kinds[partition.name] == kinds.get(chosen.partition):
            yield place.candidate(chosen.shape, partition.name, f"partition={partition.name}")
