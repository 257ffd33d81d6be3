"""Where a job may run: partitions of an allocation's GPU type and of its slices, the CPU partition, reservations.

Reads only, from what the cluster's worker saw last.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import connection
from django.utils.formats import date_format
from django.utils.translation import gettext

from portal.clock import centre_zone, now
from portal.people.models import Project, User
from quotas.allocations.models import Allocation
from scheduler.clusters.models import Cluster, Partition, QosRule, Reservation
from scheduler.clusters.names import account_name
from scheduler.clusters.qos_rules import PersonLimits, limits_of, person_limits
from scheduler.clusters.slices import Share, Slices, slices_of, slices_read
from scheduler.jobs.durations import duration_text
from scheduler.jobs.models import Job
from scheduler.jobs.preflight import PartitionLimits
from scheduler.jobs.special import Special, Window

Rules = Mapping[str, PersonLimits]  # of a cluster, by kind


# Four tables in one statement: every submission and every preview asks them.
_SEEN = """
    SELECT (SELECT coalesce(json_agg(json_build_array(kind, time_limit_s, jobs, queued, cpus, gpus)), '[]')
              FROM clusters_qosrule WHERE cluster_id = %(cluster)s),
           (SELECT coalesce(json_agg(json_build_array(gpu_type, parent, parts, whole)), '[]') FROM clusters_gpuslice),
           (SELECT coalesce(json_agg(json_build_array(name, is_up, nodes, gpus_per_node, max_time_s, gpu_type,
                                                      cpus_per_node, cpus_per_gpu, memory_mb_per_gpu) ORDER BY name),
                            '[]')
              FROM clusters_partition WHERE cluster_id = %(cluster)s),
           (SELECT "exists" FROM jobs_unixaccountseen WHERE cluster_id = %(cluster)s AND name = %(account)s)
"""


@dataclass(frozen=True)
class Seen:
    """What the cluster's worker saw last, and what operators said about it."""

    rules: Rules
    slices: Slices
    partitions: tuple[PartitionLimits, ...]  # all of them, by name
    unix_account_exists: bool | None  # None: not looked for yet

    def usable(self, gpu_type: str) -> tuple[PartitionLimits, ...]:
        """Those on which an allocation of the type may be used; the CPU partition where the cluster offers it."""
        types = set(self.slices.of_parent(gpu_type))
        with_cpu = QosRule.Kind.CPU in self.rules
        return tuple(one for one in self.partitions if one.gpu_type in types or (with_cpu and one.is_cpu))


def seen_of(cluster: Cluster, unix_account: str) -> Seen:
    with connection.cursor() as cursor:
        cursor.execute(_SEEN, {"cluster": cluster.pk, "account": unix_account})
        rules, parts, partitions, exists = cursor.fetchone()
    slices = slices_of(parts)
    found = []
    for name, is_up, nodes, gpus_per_node, max_time_s, gpu_type, *beside in partitions:
        share = str(slices.get(gpu_type) or "")
        found.append(PartitionLimits(name, is_up, nodes, gpus_per_node, max_time_s, gpu_type, share, *beside))
    return Seen(limits_of(rules), slices, tuple(found), exists)


def special_get(
    *, person: User, allocation: Allocation, cluster: Cluster, rules: Rules, moment: datetime, reservation: str = ""
) -> Special:
    return Special(
        cpu=rules.get(QosRule.Kind.CPU),
        sandbox=rules[QosRule.Kind.SANDBOX] if allocation.voucher.programme.is_sandbox else None,
        windows=tuple(
            Window(row.name, row.partition, row.starts_at, row.ends_at)
            for row in reservations_for(person, [allocation.project], cluster, moment)
        )
        if reservation
        else (),
        asked_window=reservation,
        moment=moment,
    )


def limits_of_person(job: Job) -> PersonLimits | None:
    """What one person may have at once where this job runs; None: only GPU-hours bound it."""
    limits = person_limits(job.cluster)
    if job.is_cpu:
        return limits.get(QosRule.Kind.CPU)
    return limits[QosRule.Kind.SANDBOX] if job.allocation.voucher.programme.is_sandbox else None


def reservations_for(
    person: User, projects: Iterable[Project], cluster: Cluster, moment: datetime
) -> Sequence[Reservation]:
    """Those that have not ended and name the person, or an account of the projects and nobody in particular.

    What Slurm itself asks is the same: the account must be among its accounts, the user among its users.
    """
    accounts = {account_name(cluster, project.slug) for project in projects}
    rows = Reservation.objects.filter(cluster=cluster, ends_at__gt=moment, is_maintenance=False)
    return [
        row
        for row in rows
        if (row.accounts or row.users)
        and (not row.accounts or accounts & set(row.accounts))
        and (not row.users or (person.unix_account or "") in row.users)
    ]


# --- for the form's lists -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PartitionChoice:
    name: str
    gpu_type: str
    nodes: int
    gpus_per_node: int
    max_time_s: int  # 0: no limit
    share: Share | None = None

    def __str__(self) -> str:
        if not self.nodes:
            return self.name
        if not self.gpus_per_node:
            size = gettext("%(name)s · CPUs only, for preparing data, free of charge") % {"name": self.name}
        else:
            size = f"{self.name} · {self.nodes} × {self.gpus_per_node} {self.gpu_type.upper()}"
        if self.share:
            said = {"size": size, "share": self.share, "type": self.share.parent.upper()}
            size = gettext("%(size)s · a slice, charged as %(share)s of an %(type)s") % said
        if not self.max_time_s:
            return size
        return gettext("%(size)s · at most %(time)s") % {"size": size, "time": duration_text(self.max_time_s)}


def partitions_offered(allocations: Sequence[Allocation]) -> list[PartitionChoice]:
    """Those that one of the allocations can be used on, each name once; whole GPUs first, the CPU partition last."""
    slices = slices_read()
    usable = {(one.cluster, gpu_type) for one in allocations for gpu_type in slices.of_parent(one.gpu_type)}
    with_cpu = set(QosRule.objects.filter(kind=QosRule.Kind.CPU).values_list("cluster__name", flat=True))
    usable |= {(one.cluster, "") for one in allocations if one.cluster in with_cpu}
    found: dict[str, PartitionChoice] = {}
    rows = Partition.objects.filter(
        cluster__is_active=True, cluster__retired_at=None, gpu_type__in={gpu_type for _cluster, gpu_type in usable}
    )
    for row in rows.select_related("cluster").order_by("name"):
        if (row.cluster.name, row.gpu_type) in usable and (row.gpu_type or row.is_cpu):
            # Of several clusters' partitions of one name only the name is said.
            found[row.name] = replace(found[row.name], nodes=0) if row.name in found else _choice(row, slices)
    return sorted(found.values(), key=lambda one: (not one.gpus_per_node, one.share is not None, one.name))


def _choice(row: Partition, slices: Slices) -> PartitionChoice:
    share = slices.get(row.gpu_type)
    return PartitionChoice(row.name, row.gpu_type, row.nodes, row.gpus_per_node, row.max_time_s, share)


def windows_offered(person: User, allocations: Sequence[Allocation]) -> list[tuple[str, str]]:
    """Reservations that a job of one of the allocations may run in: name and words, none for most people."""
    moment, found = now(), {}
    for cluster in Cluster.objects.filter(is_active=True, reservations__ends_at__gt=moment).distinct():
        projects = [one.project for one in allocations if one.cluster == cluster.name]
        for row in reservations_for(person, projects, cluster, moment) if projects else ():
            words = {
                "name": row.name,
                "from": date_format(row.starts_at.astimezone(centre_zone()), "SHORT_DATETIME_FORMAT"),
                "to": date_format(row.ends_at.astimezone(centre_zone()), "SHORT_DATETIME_FORMAT"),
            }
            found[row.name] = gettext("%(name)s · %(from)s – %(to)s") % words
    return list(found.items())
