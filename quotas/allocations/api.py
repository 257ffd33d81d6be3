"""Projects, and their allocations with balances, for programs. Amounts are GPU-seconds of one GPU type."""

from dataclasses import dataclass
from datetime import date

from rest_framework.response import Response

from portal.api.endpoint import READ, ApiRequest, Endpoint, covered
from portal.api.openapi import Told
from portal.api.paging import paged
from portal.people.models import Project
from portal.people.selectors import project_get, projects_of, projects_visible
from quotas.allocations.models import Allocation
from quotas.allocations.selectors import AllocationRow, allocation_list, with_balances


@dataclass(frozen=True)
class BalanceShape:
    """In GPU-seconds: granted + overrun = consumed + held + remaining + expired. A new job can take what is free."""

    granted: int
    overrun: int
    consumed: int
    held: int
    remaining: int
    expired: int
    free: int


@dataclass(frozen=True)
class AllocationShape:
    id: int
    project: str
    project_title: str
    cluster: str
    gpu_type: str
    state: str
    state_text: str
    starts_on: date
    ends_on: date
    qos: str
    balance: BalanceShape


@dataclass(frozen=True)
class ProjectShape:
    slug: str
    title: str
    organisation: str
    is_active: bool
    may_submit: bool


@dataclass(frozen=True)
class ProjectWhole(ProjectShape):
    allocations: tuple[AllocationShape, ...]


class Projects(Endpoint):
    """The projects that the person may see, the newest first."""

    scopes = {"GET": {READ}}
    told_get = Told(ProjectShape, rows=True)

    def get(self, request: ApiRequest) -> Response:
        found = projects_visible(request.user)
        if request.auth.project_id:
            found = found.filter(pk=request.auth.project_id)
        own = set(projects_of(request.user).values_list("pk", flat=True))
        return paged(request, found, lambda rows: [_project(row, own) for row in rows], by=("-id",))


class OneProject(Endpoint):
    """A project with its allocations and what is left of each."""

    scopes = {"GET": {READ}}
    told_get = Told(ProjectWhole)

    def get(self, request: ApiRequest, slug: str) -> Response:
        found = project_get(request.user, slug)
        covered(request, found.pk)
        own = set(projects_of(request.user).filter(pk=found.pk).values_list("pk", flat=True))
        rows = with_balances(allocation_list(request.user, project=found))
        plain = _project(found, own)
        return Response(ProjectWhole(**vars(plain), allocations=tuple(map(_allocation, rows))))


class Allocations(Endpoint):
    """Allocations with their balances, the newest first: what saola-balance prints."""

    scopes = {"GET": {READ}}
    told_get = Told(
        AllocationShape,
        rows=True,
        query={"own": "1: only those on which the person submits jobs.", "project": "Only of this project (its slug)."},
    )

    def get(self, request: ApiRequest) -> Response:
        found = allocation_list(request.user, own=request.query_params.get("own") == "1")
        if request.query_params.get("project"):
            found = found.filter(project__slug=request.query_params["project"])
        if request.auth.project_id:
            found = found.filter(project=request.auth.project_id)
        return paged(request, found, lambda rows: [_allocation(row) for row in with_balances(rows)], by=("-id",))


def _project(project: Project, own: set[int]) -> ProjectShape:
    return ProjectShape(
        slug=project.slug,
        title=project.title,
        organisation=project.organisation.slug,
        is_active=project.is_active,
        may_submit=project.pk in own,
    )


def _allocation(row: AllocationRow) -> AllocationShape:
    one: Allocation = row.allocation
    balance = row.balance
    return AllocationShape(
        id=one.pk,
        project=one.project.slug,
        project_title=one.project.title,
        cluster=one.cluster,
        gpu_type=one.gpu_type,
        state=one.state,
        state_text=one.get_state_display(),
        starts_on=one.starts_on,
        ends_on=one.ends_on,
        qos=one.qos,
        balance=BalanceShape(
            granted=balance.granted,
            overrun=balance.overrun,
            consumed=balance.consumed,
            held=balance.held,
            remaining=balance.remaining,
            expired=balance.expired,
            free=balance.free,
        ),
    )
