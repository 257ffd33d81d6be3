"""What a job can begin with: presets, those that projects keep, data sets of the catalogue."""

from dataclasses import dataclass

from rest_framework.response import Response

from portal.api.endpoint import READ, SUBMIT, ApiRequest, Endpoint
from portal.api.openapi import Told
from portal.api.paging import paged
from scheduler.datasets.models import DataSet
from scheduler.datasets.selectors import catalogue, usable_on
from scheduler.jobs.form.project_presets import project_presets
from scheduler.jobs.library.selectors import presets_offered


@dataclass(frozen=True)
class FieldShape:
    """A field of a preset. `kind` says what it takes; numbers have bounds, a choice has choices."""

    name: str
    kind: str
    title: str
    help: str
    default: str
    required: bool
    least: float | None
    most: float | None
    choices: tuple[str, ...]
    suggestions: tuple[str, ...]


@dataclass(frozen=True)
class PresetShape:
    slug: str
    version: int
    title: str
    description: str
    gpus_per_node: int
    nodes: int
    time_limit_s: int
    environments: tuple[str, ...]
    fields: tuple[FieldShape, ...]
    script: str


@dataclass(frozen=True)
class ProjectPresetShape:
    """One that a project keeps: what it was made from, and how the form was filled in."""

    id: int
    project: str
    title: str
    version: int
    preset: str
    filled: dict[str, str]
    gpus_per_node: int
    nodes: int
    time_limit_s: int
    script: str


@dataclass(frozen=True)
class PresetList:
    presets: tuple[PresetShape, ...]
    project_presets: tuple[ProjectPresetShape, ...]


class Presets(Endpoint):
    """The presets with their fields, and those that the person's projects keep."""

    scopes = {"GET": {READ, SUBMIT}}
    told_get = Told(PresetList)

    def get(self, request: ApiRequest) -> Response:
        kept = [one for one in project_presets(request.user) if request.auth.covers(one.project_id)]
        shown = PresetList(
            presets=tuple(
                PresetShape(
                    slug=one.slug,
                    version=one.version,
                    title=one.title,
                    description=one.description,
                    gpus_per_node=one.gpus_per_node,
                    nodes=one.nodes,
                    time_limit_s=one.time_limit_s,
                    environments=one.environments,
                    fields=tuple(
                        FieldShape(
                            name=field.name,
                            kind=field.kind,
                            title=str(field.title),
                            help=str(field.help or ""),
                            default=field.default,
                            required=field.required,
                            least=field.least,
                            most=field.most,
                            choices=field.choices,
                            suggestions=field.suggestions,
                        )
                        for field in one.fields
                    ),
                    script=one.start,
                )
                for one in presets_offered().values()
            ),
            project_presets=tuple(
                ProjectPresetShape(
                    id=one.pk,
                    project=one.project.slug,
                    title=one.title,
                    version=one.version,
                    preset=one.preset,
                    filled=one.filled.get("fields", {}),
                    gpus_per_node=one.gpus_per_node,
                    nodes=one.nodes,
                    time_limit_s=one.time_limit_s,
                    script=one.script,
                )
                for one in kept
            ),
        )
        return Response(shown)


# --- data sets ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DataSetShape:
    """One of the catalogue. Its `id` stands in a job's `data_sets`; the job gets its path."""

    id: int
    slug: str
    name: str
    version: str
    cluster: str
    path: str
    size_bytes: int
    licence: str


class DataSets(Endpoint):
    """The catalogue of data sets, as far as the person may use it, the newest first."""

    scopes = {"GET": {READ, SUBMIT}}
    told_get = Told(DataSetShape, rows=True, query={"q": "Words to look for.", "cluster": "Only on this one."})

    def get(self, request: ApiRequest) -> Response:
        asked, project = request.query_params, request.auth.project
        found = catalogue(request.user, query=asked.get("q", "")[:200], cluster=asked.get("cluster", ""))
        if project is not None:
            names = set(found.order_by().values_list("cluster__name", flat=True))
            found = found.filter(pk__in=[row.pk for name in names for row in usable_on(project, name)])
        return paged(request, found, lambda rows: [_data_set(row) for row in rows], by=("-id",))


def _data_set(row: DataSet) -> DataSetShape:
    return DataSetShape(
        id=row.pk,
        slug=row.slug,
        name=row.name,
        version=row.version,
        cluster=row.cluster.name,
        path=row.path,
        size_bytes=row.size_bytes,
        licence=row.licence_name,
    )
