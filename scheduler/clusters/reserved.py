"""Nodes that are set aside in Slurm, and who may use them. Read from the worker's last look."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from portal.clock import now
from portal.people.models import Project, User
from portal.people.rules import Person, reads_everything
from portal.people.selectors import project_get, projects_visible
from scheduler.clusters.models import Cluster, Reservation
from scheduler.clusters.names import account_name


@dataclass(frozen=True, kw_only=True)
class ReservationRow:
    """`projects`: those of its accounts that the person may see. For those who read everything also `accounts`, which
    are no project's, and `people`: names in the portal, or unix accounts that it does not know."""

    reservation: Reservation
    projects: Sequence[Project]
    is_now: bool
    accounts: Sequence[str] = ()
    people: Sequence[str] = ()


def reservations_seen(person: Person, cluster: Cluster) -> list[ReservationRow]:
    """Those that have not ended and are for the person or a project that they may see; every one for those who read
    everything."""
    moment = now()
    rows = list(cluster.reservations.filter(ends_at__gt=moment))
    if not rows:
        return []
    prefix, is_of_centre = cluster.account_prefix, reads_everything(person)
    slugs = {name.removeprefix(prefix) for row in rows for name in row.accounts if name.startswith(prefix)}
    known = {account_name(cluster, one.slug): one for one in projects_visible(person).filter(slug__in=slugs)}
    people = _names(rows) if is_of_centre else {}
    user = getattr(person, "unix_account", None)
    found = []
    for row in rows:
        projects = [known[name] for name in row.accounts if name in known]
        if projects or (user and user in row.users) or is_of_centre:
            found.append(
                ReservationRow(
                    reservation=row,
                    projects=projects,
                    is_now=row.starts_at <= moment,
                    accounts=[name for name in row.accounts if name not in known] if is_of_centre else (),
                    people=[people.get(name, name) for name in row.users] if is_of_centre else (),
                )
            )
    return found


def _names(rows: Iterable[Reservation]) -> Mapping[str, str]:
    accounts = {name for row in rows for name in row.users}
    return {
        str(one.unix_account): f"{one} ({one.unix_account})" for one in User.objects.filter(unix_account__in=accounts)
    }


@dataclass(frozen=True, kw_only=True)
class ProjectReservation:
    """`people`: the members who may use it; empty: all of them."""

    reservation: Reservation
    is_now: bool
    people: Sequence[User]


def reservations_of_project(person: Person, slug: str) -> list[ProjectReservation]:
    """Those that the project's jobs may run in, as Slurm asks it: the account among its accounts, the person among its
    people, where it names any. Raises Http404 where the person may not see the project."""
    project, moment = project_get(person, slug), now()
    rows = Reservation.objects.filter(ends_at__gt=moment, is_maintenance=False, cluster__is_active=True).select_related(
        "cluster"
    )
    members = list(
        User.objects.filter(project_memberships__project=project, is_active=True).order_by("full_name", "pk")
    )
    found = []
    for row in rows:
        named = [one for one in members if one.unix_account in row.users]
        is_ours = account_name(row.cluster, project.slug) in row.accounts
        if (is_ours or (named and not row.accounts)) and (named or not row.users):
            found.append(ProjectReservation(reservation=row, is_now=row.starts_at <= moment, people=named))
    return found
