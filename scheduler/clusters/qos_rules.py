"""What one person may have at once where GPU-hours do not bound it. The table is `QosRule`; Slurm holds it as limits of
QOS."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from scheduler.clusters.models import Cluster, QosRule


@dataclass(frozen=True, slots=True)
class PersonLimits:
    """`jobs` run at once, `queued` run or wait; of CPUs and GPUs all running jobs of the person together."""

    time_limit_s: int
    jobs: int
    queued: int
    cpus: int = 0
    gpus: int = 0

    @property
    def hours(self) -> float:
        """The longest job's, for people."""
        return self.time_limit_s / 3_600


# Of a sandbox, where a cluster does not say otherwise: to try something, not to train.
SANDBOX_LIMITS = PersonLimits(time_limit_s=4 * 3_600, jobs=2, queued=4, gpus=1)


def person_limits(cluster: Cluster) -> dict[str, PersonLimits]:
    """By kind. Without a rule of its own a cluster has no `cpu`: its CPU partition is offered to nobody."""
    return limits_of(_rows(cluster))


def limits_of(rows: Iterable[Sequence[Any]]) -> dict[str, PersonLimits]:
    """The same of rows that were read already: kind and the numbers of `PersonLimits`."""
    return {QosRule.Kind.SANDBOX.value: SANDBOX_LIMITS} | _by_kind(rows)


def own_limits(cluster: Cluster) -> dict[str, PersonLimits]:
    """Those that operators set for this cluster, by kind."""
    return _by_kind(_rows(cluster))


def _rows(cluster: Cluster) -> Iterable[Sequence[Any]]:
    return QosRule.objects.filter(cluster=cluster).values_list("kind", "time_limit_s", "jobs", "queued", "cpus", "gpus")


def _by_kind(rows: Iterable[Sequence[Any]]) -> dict[str, PersonLimits]:
    return {kind: PersonLimits(*numbers) for kind, *numbers in rows}
