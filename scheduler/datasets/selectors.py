"""What a person may see of the catalogue, and what a project may use. The permission is the fetch."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404

from portal.people.models import Organisation, Project
from portal.people.rules import Person, is_operator, reads_everything
from portal.people.selectors import organisations_of, projects_visible
from scheduler.clusters.models import Cluster
from scheduler.datasets.models import DataSet, Permit, Reading, StoredGroups


def data_sets_visible(person: Person) -> QuerySet[DataSet]:
    """Everyone's, and those of the person's organisations and projects, once they were offered; all of them for
    operators, approvers and auditors."""
    rows = DataSet.objects.select_related("cluster")
    if reads_everything(person):
        return rows
    own = Permit.objects.filter(data_set=OuterRef("pk")).filter(
        Q(organisation__in=organisations_of(person).order_by().values("pk"))
        | Q(project__in=projects_visible(person).order_by().values("pk"))
    )
    seen = Q(audience=DataSet.Audience.EVERYONE) | Exists(own)
    return rows.exclude(state=DataSet.State.DRAFT).filter(seen)


def catalogue(person: Person, *, query: str = "", cluster: str = "") -> QuerySet[DataSet]:
    """By name. What was withdrawn stands in it only for those who see everything. `cluster` is a name."""
    rows = data_sets_visible(person)
    if not reads_everything(person):
        rows = rows.filter(state=DataSet.State.OPEN)
    if cluster:
        rows = rows.filter(cluster__name=cluster)
    for word in query.split():
        rows = rows.filter(
            Q(name__icontains=word)
            | Q(slug__icontains=word)
            | Q(description__icontains=word)
            | Q(licence_name__icontains=word)
        )
    return rows.order_by("name", "id")


def data_set_get(person: Person, slug: str) -> DataSet:
    """Raises Http404 where the person may not see it."""
    return get_object_or_404(data_sets_visible(person), slug=slug)


def data_set_get_managed(person: Person, slug: str) -> DataSet:
    """For changes: operators only. Raises Http404 for everybody else."""
    if not is_operator(person):
        raise Http404
    return get_object_or_404(DataSet.objects.select_related("cluster"), slug=slug)


@dataclass(frozen=True)
class Users:
    """Who may use a data set, as far as the person may know: others' names are not told."""

    everyone: bool
    organisations: list[Organisation]
    projects: list[Project]


def users_of(person: Person, data_set: DataSet) -> Users:
    if data_set.audience == DataSet.Audience.EVERYONE:
        return Users(True, [], [])
    organisations = Organisation.objects.filter(pk__in=data_set.permits.values("organisation"))
    projects = Project.objects.filter(pk__in=data_set.permits.values("project")).select_related("organisation")
    if not reads_everything(person):
        organisations = organisations.filter(pk__in=organisations_of(person).order_by().values("pk"))
        projects = projects.filter(pk__in=projects_visible(person).order_by().values("pk"))
    return Users(False, list(organisations), list(projects))


# --- for jobs -----------------------------------------------------------------------------------------------------


def permitted_to(project: Project) -> QuerySet[DataSet]:
    """Those that are, or were, offered to a project, on whatever cluster."""
    own = Permit.objects.filter(data_set=OuterRef("pk")).filter(
        Q(organisation=project.organisation_id) | Q(project=project.pk)
    )
    seen = Q(audience=DataSet.Audience.EVERYONE) | Exists(own)
    return DataSet.objects.exclude(state=DataSet.State.DRAFT).filter(seen)


def usable_on(project: Project, cluster_name: str) -> list[DataSet]:
    """Those that a new job of the project may use on a cluster."""
    rows = permitted_to(project).filter(state=DataSet.State.OPEN, cluster__name=cluster_name)
    return list(rows.order_by("name", "id"))


def let_in(data_sets: Iterable[DataSet], unix_account: str) -> set[int]:
    """Those whose group had this account in it when the cluster's worker last read it back."""
    rows = Reading.objects.filter(data_set__in=list(data_sets), members__contains=[unix_account])
    return set(rows.values_list("data_set", flat=True))


# --- for operators ------------------------------------------------------------------------------------------------


def groups_get(person: Person, name: str) -> tuple[Cluster, StoredGroups | None]:
    """Raises Http404 for everybody but operators, approvers and auditors."""
    if not reads_everything(person):
        raise Http404
    cluster = get_object_or_404(Cluster, name=name)
    return cluster, StoredGroups.objects.filter(cluster=cluster).first()


def reading_of(data_set: DataSet) -> Reading | None:
    return Reading.objects.filter(data_set=data_set).first()


def folders_to_mend(cluster: Cluster) -> list[Reading]:
    """Offered data sets whose folder does not do what the group promises."""
    fine: Collection[str] = (Reading.Folder.FINE, Reading.Folder.UNREAD)
    rows = Reading.objects.filter(data_set__cluster=cluster, data_set__state=DataSet.State.OPEN)
    return list(rows.exclude(folder__in=fine).select_related("data_set").order_by("data_set__name"))
