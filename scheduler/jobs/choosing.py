"""Which of a project's allocations would start a job first, where a person leaves that to the portal.

Reckoned from each cluster's last look, by nodes that have the GPUs free and by what running jobs give back; nobody asks
Slurm. The choice is made once, when the job is submitted, and written on it with its reasons: a job that cannot be
submitted there is refused there, and never moved.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext as _

from portal.clock import now
from portal.people.models import Project, User
from portal.people.selectors import projects_of
from quotas.allocations.models import Allocation
from quotas.allocations.selectors import usable_allocations
from scheduler.clusters.models import Cluster, Snapshot
from scheduler.clusters.occupancy import HORIZONS_S, GpuCount, Occupancy
from scheduler.datasets.selectors import permitted_to
from scheduler.jobs.durations import duration_text
from scheduler.jobs.models import Job
from scheduler.jobs.preflight import Shape, Verdict, preflight
from scheduler.jobs.selectors import ProjectChoice, cluster_of, facts_get

ANY_TYPE = "*"
PREFIX = "first"
OLD_LOOK_S = 300  # and ten cycles: a look that is older says nothing about now


@dataclass(frozen=True)
class Group:
    """Allocations of a project to choose among: of one GPU type, or of any ("")."""

    project: Project
    gpu_type: str = ""

    @property
    def key(self) -> str:
        return f"{PREFIX}:{self.project.pk}:{self.gpu_type or ANY_TYPE}"

    def __str__(self) -> str:
        words = {"project": self.project.title, "type": self.gpu_type.upper()}
        if self.gpu_type:
            return _("%(project)s · %(type)s, wherever it starts first") % words
        return _("%(project)s · any GPU type, wherever it starts first") % words


def groups_offered(choice: ProjectChoice) -> list[Group]:
    """What there is to choose among: of each GPU type with several allocations, and of all types together."""
    types = [row.allocation.gpu_type for row in choice.allocations]
    several = [Group(choice.project, name) for name in sorted(set(types)) if types.count(name) > 1]
    return [*several, Group(choice.project)] if len(set(types)) > 1 else several


def group_chosen(person: User, value: str) -> Group | None:
    """The group that a form names, if the person runs jobs in its project."""
    prefix, _colon, rest = value.partition(":")
    pk, _colon, gpu_type = rest.partition(":")
    if prefix != PREFIX or not pk.isdecimal() or len(pk) > 18:
        return None
    project = projects_of(person).filter(pk=int(pk)).first()
    return Group(project, "" if gpu_type == ANY_TYPE else gpu_type[:32]) if project else None


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """When a job might start on a cluster, from its last look. `code`: free, crowded (room now, but others wait), later
    (within `wait_s`), far (beyond what can be reckoned), unseen."""

    code: str
    wait_s: int = 0
    free: int = 0
    waiting: int = 0

    @property
    def rank(self) -> tuple[int, int, int]:
        return ("free", "crowded", "later", "far", "unseen").index(self.code), self.wait_s, self.waiting - self.free

    def __str__(self) -> str:
        return outlook_text(asdict(self))


def outlook_text(facts: Mapping[str, Any]) -> str:
    words = {"free": facts["free"], "waiting": facts["waiting"], "time": duration_text(facts["wait_s"])}
    return {
        "free": _("%(free)d GPUs are free there and nobody waits for them"),
        "crowded": _("%(free)d GPUs are free there, and others wait for %(waiting)d"),
        "later": _("enough GPUs come free there within %(time)s"),
        "far": _("%(free)d GPUs are free there, others wait for %(waiting)d, and no end is in sight"),
        "unseen": _("it was not seen lately"),
    }[facts["code"]] % words


def outlook_of(shape: Shape, snapshot: Snapshot | None) -> Outlook:
    """Pure. GPUs of jobs that wait already are counted as gone first."""
    old_s = max(OLD_LOOK_S, 10 * settings.CLUSTER_CYCLE_S)
    if snapshot is None or not snapshot.reachable or now() - snapshot.taken_at > timedelta(seconds=old_s):
        return Outlook(code="unseen")
    seen, kind = Occupancy.of_json(snapshot.occupancy), shape.gpu_type
    free = seen.gpus.get(kind, GpuCount()).free
    waiting = sum(share.pending_gpus[kind] for share in seen.accounts.values())
    if seen.nodes_with(kind, shape.gpus_per_node) >= shape.nodes:
        return Outlook(code="crowded" if waiting else "free", free=free, waiting=waiting)
    for horizon_s, given in zip(HORIZONS_S, seen.releases.get(kind, []), strict=False):
        if free + given >= shape.gpus + waiting:
            return Outlook(code="later", wait_s=horizon_s, free=free, waiting=waiting)
    return Outlook(code="far", free=free, waiting=waiting)


@dataclass(frozen=True)
class Candidate:
    allocation: Allocation
    cluster: Cluster
    verdict: Verdict
    outlook: Outlook

    @property
    def rank(self) -> tuple[object, ...]:
        # Where all else is equal, what ends first is used first.
        return not self.verdict.fits, *self.outlook.rank, self.allocation.ends_on, self.allocation.pk


@dataclass(frozen=True)
class Choice:
    group: Group
    candidates: Sequence[Candidate]  # the best first

    @property
    def best(self) -> Candidate:
        return self.candidates[0]

    @property
    def facts(self) -> dict[str, object]:
        """What is written on the job."""
        among = [
            {
                "qos": row.allocation.qos,
                "gpu_type": row.allocation.gpu_type,
                "cluster": row.cluster.title,
                "fits": row.verdict.fits,
                **asdict(row.outlook),
            }
            for row in self.candidates
        ]
        return {"asked": self.group.key, "at": now().isoformat(), "among": among}


def choose(
    *,
    person: User,
    group: Group,
    gpus_per_node: int,
    nodes: int,
    time_limit_s: int,
    partition: str = "",
    after: Iterable[UUID] = (),
    data_sets: Iterable[int] = (),
) -> Choice | None:
    """The group's allocations, the one that fits and would start first at the head. `after`: jobs that it waits for,
    and `data_sets` that it uses: they are on its own cluster. None: the project has none now."""
    rows = [row.allocation for row in usable_allocations(person, group.project)]
    rows = [row for row in rows if group.gpu_type in ("", row.gpu_type)]
    places = set(Job.objects.filter(pk__in=after, project=group.project).values_list("cluster__name", flat=True))
    places |= set(permitted_to(group.project).filter(pk__in=data_sets).values_list("cluster__name", flat=True))
    if len(places) == 1:  # several: whichever is taken, the form says what is wrong
        rows = [row for row in rows if row.cluster in places]
    snapshots = {
        row.cluster_id: row
        for row in Snapshot.objects.filter(cluster__name__in={row.cluster for row in rows}).defer("nodes")
    }
    found = []
    for allocation in rows:
        cluster = cluster_of(allocation)
        if cluster is None:
            continue
        shape = Shape(allocation.gpu_type, gpus_per_node, nodes, time_limit_s)
        facts = facts_get(person=person, allocation=allocation, cluster=cluster, moment=now())
        outlook = outlook_of(shape, snapshots.get(cluster.pk))
        found.append(Candidate(allocation, cluster, preflight(shape, facts, partition), outlook))
    return Choice(group, sorted(found, key=lambda row: row.rank)) if found else None
