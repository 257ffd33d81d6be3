"""GPU telemetry for programs: of an organisation, of a project, and the nation's public figures. The numbers are the
pages'; null is not known."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any

from django.http import Http404
from rest_framework.response import Response

from monitoring.reports import selectors, subjects
from monitoring.reports.documents import factor_text
from monitoring.reports.energy import Energy
from monitoring.reports.forms import DaysForm
from monitoring.reports.models import Publication
from monitoring.reports.nation.figures import PARTS
from monitoring.reports.subjects import Subject
from monitoring.rollups.selectors import Bounds, Throughput
from portal.api.endpoint import READ, ApiRequest, Endpoint, covered
from portal.api.errors import Error, Refused
from portal.api.openapi import Told
from portal.api.paging import paged
from portal.people.selectors import project_get


@dataclass(frozen=True)
class BoundsShape:
    """EFLOP-hours. lower: declared by jobs; upper: what the tensor cores' cycles allow."""

    lower: float
    upper: float | None
    allocated_peak: float | None


@dataclass(frozen=True)
class EnergyShape:
    """Of the observed time; nothing is added for the rest."""

    gpu_kwh: float
    centre_kwh: Annotated[float | None, "With PUE; null where none is entered."]
    co2_kg: Annotated[float | None, "Of the centre's energy, or of the GPUs' alone where no PUE is known."]
    is_co2_of_gpus_alone: bool


@dataclass(frozen=True)
class TelemetryShape:
    """One GPU type. allocated = observed + unobserved; steps_gpu_seconds add up to allocated, too."""

    gpu_type: str
    allocated_gpu_seconds: int
    observed_gpu_seconds: int
    unobserved_gpu_seconds: int
    unobserved_by_cause: dict[str, int]
    coverage: float | None
    steps_gpu_seconds: dict[str, int]
    fp8_eflop_hours: BoundsShape
    any_tensor_eflop_hours: BoundsShape
    refused_eflop_hours: float
    energy: EnergyShape
    sources: list[str]
    emulated: bool


@dataclass(frozen=True)
class TelemetryReport:
    first_day: date
    last_day: date
    peak_table_version: str
    counted_until: datetime | None
    factors: Annotated[list[str], "PUE and the grid's emission factor that were used, with their sources."]
    by_type: list[TelemetryShape]


@dataclass(frozen=True)
class NationFigures:
    """What `least_organisations` or more stand behind."""

    organisations: int
    allocated_gpu_seconds: Annotated[int | None, "Null where several GPU types are together."]
    fp8_eflop_hours: BoundsShape
    coverage: float | None
    energy_kwh: float
    sources: list[str]
    without: Annotated[list[str], "GPU types whose peak nobody has stated: not in the EFLOP-hours."]
    emulated: bool


@dataclass(frozen=True)
class NationPart:
    shown: dict[str, NationFigures]
    others: Annotated[NationFigures | None, "Those that are not shown one by one, together."]


@dataclass(frozen=True)
class NationShape:
    """A quarter's figures as they were published. All but `quarter` null: too few organisations."""

    quarter: str
    published_at: datetime
    least_organisations: int
    total: NationFigures | None
    gpu_type: NationPart | None
    sector: NationPart | None
    product_group: NationPart | None
    month: NationPart | None


DAYS = {"from": "First day, YYYY-MM-DD.", "to": "Last day, included."}


class OrganisationTelemetry(Endpoint):
    """What an organisation's GPU-time delivered, for those who read its report."""

    scopes = {"GET": {READ}}
    told_get = Told(TelemetryReport, query=DAYS)

    def get(self, request: ApiRequest, slug: str) -> Response:
        if request.auth.project_id:
            raise Http404  # to a token of one project nothing else exists
        return _told(request, subjects.of_organisation(selectors.organisation_reported(request.user, slug)))


class ProjectTelemetry(Endpoint):
    """What a project's GPU-time delivered, for those who see the project."""

    scopes = {"GET": {READ}}
    told_get = Told(TelemetryReport, query=DAYS)

    def get(self, request: ApiRequest, slug: str) -> Response:
        found = project_get(request.user, slug)
        covered(request, found.pk)
        return _told(request, subjects.of_project(found))


class NationTelemetry(Endpoint):
    """The nation's public figures, the newest quarter first."""

    scopes = {"GET": {READ}}
    told_get = Told(NationShape, rows=True)

    def get(self, request: ApiRequest) -> Response:
        rows = Publication.objects.all()
        return paged(request, rows, lambda page: [_nation(row) for row in page], by=("-quarter", "-id"))


def _told(request: ApiRequest, subject: Subject) -> Response:
    form = DaysForm({name: request.query_params.get(name, "") for name in DAYS})
    if not form.is_valid():
        errors = [Error("days", str(text), name) for name, texts in form.errors.items() for text in texts]
        raise Refused(422, errors)
    found = subject.telemetry(form.days)
    report = found.report
    return Response(
        TelemetryReport(
            form.days.first,
            form.days.last,
            report.peaks_version,
            report.counted_until,
            [factor_text(one) for one in found.energy.factors],
            [_type(one, found.energy.by_type[gpu_type]) for gpu_type, one in report.by_type.items()],
        )
    )


def _type(found: Throughput, energy: Energy) -> TelemetryShape:
    return TelemetryShape(
        found.gpu_type,
        found.allocated_gpu_seconds,
        found.observed_gpu_seconds,
        found.unobserved_gpu_seconds,
        found.unobserved_by_cause,
        found.coverage,
        found.steps_gpu_seconds,
        _bounds(found.fp8),
        _bounds(found.any_tensor),
        found.refused_eflop_hours,
        EnergyShape(energy.gpu_kwh, energy.centre_kwh, energy.co2_kg, energy.is_co2_of_gpus_alone),
        found.sources,
        found.is_emulated,
    )


def _bounds(bounds: Bounds) -> BoundsShape:
    return BoundsShape(bounds.lower, bounds.upper, bounds.allocated_peak)


def _nation(row: Publication) -> NationShape:
    content: dict[str, Any] = row.content
    parts = {name: _part(content.get(name)) for name in PARTS}
    total = content["total"] and _figures(content["total"])
    return NationShape(row.quarter, row.published_at, content["least_organisations"], total, **parts)


def _part(part: dict[str, Any] | None) -> NationPart | None:
    if part is None:
        return None
    shown = {key: _figures(one) for key, one in part["shown"].items()}
    return NationPart(shown, part["others"] and _figures(part["others"]))


def _figures(one: dict[str, Any]) -> NationFigures:
    return NationFigures(**(one | {"fp8_eflop_hours": BoundsShape(**one["fp8_eflop_hours"])}))
