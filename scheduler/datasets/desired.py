"""Who belongs into the group of each data set: from the catalogue, its permits, and the members of projects."""

from collections import defaultdict
from collections.abc import Iterable

from portal.people.models import ProjectMembership
from scheduler.clusters.models import Cluster
from scheduler.datasets.models import DataSet, Permit
from scheduler.datasets.plan import Members


def members_wanted(cluster: Cluster) -> dict[str, Members]:
    """Active people's unix accounts by group: of the projects that may use the data set. A draft's group and that of a
    withdrawn one are empty."""
    rows = list(DataSet.objects.filter(cluster=cluster).order_by("pk"))
    offered = [row for row in rows if row.state == DataSet.State.OPEN]
    people = _People() if offered else None
    permits: dict[int, list[tuple[int | None, int | None]]] = defaultdict(list)
    for pk, organisation, project in Permit.objects.filter(data_set__in=offered).values_list(
        "data_set", "organisation", "project"
    ):
        permits[pk].append((organisation, project))
    wanted: dict[str, Members] = {row.unix_group: frozenset() for row in rows}
    for row in offered:
        assert people is not None
        if row.audience == DataSet.Audience.EVERYONE:
            wanted[row.unix_group] = people.everyone
        else:
            wanted[row.unix_group] = people.of(permits[row.pk])
    return wanted


class _People:
    """Unix accounts of those who may run jobs, read once."""

    def __init__(self) -> None:
        rows = ProjectMembership.objects.filter(
            project__is_active=True, user__is_active=True, user__unix_account__isnull=False
        ).values_list("project__organisation", "project", "user__unix_account")
        self.of_organisation: dict[int, set[str]] = defaultdict(set)
        self.of_project: dict[int, set[str]] = defaultdict(set)
        for organisation, project, unix_account in rows:
            if unix_account:
                self.of_organisation[organisation].add(unix_account)
                self.of_project[project].add(unix_account)
        self.everyone: Members = frozenset().union(*self.of_project.values())

    def of(self, permits: Iterable[tuple[int | None, int | None]]) -> Members:
        found: set[str] = set()
        for organisation, project in permits:
            if organisation is not None:
                found |= self.of_organisation.get(organisation, set())
            elif project is not None:
                found |= self.of_project.get(project, set())
        return frozenset(found)
