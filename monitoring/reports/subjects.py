"""Whose telemetry a report is about: an organisation, a project, the nation. Page, files and API ask here, so that all
of them say the same."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.urls import reverse
from django.utils.translation import gettext as _

from monitoring.days import Days
from monitoring.reports.energy import EnergyReport, energy_of, factors_read
from monitoring.rollups.selectors import (
    Report,
    Throughput,
    throughput_by_purpose,
    throughput_of,
    throughput_of_nation,
    throughput_of_project,
)
from portal.people.models import Organisation, Project
from quotas.reviews.expertise import PRODUCT_GROUPS, SECTORS

ByType = Mapping[str, Throughput]
ByPurpose = Mapping[str, ByType]


@dataclass(frozen=True)
class Telemetry:
    """All figures of a subject in a range of days."""

    subject: "Subject"
    report: Report
    energy: EnergyReport
    sectors: ByPurpose
    product_groups: ByPurpose


@dataclass(frozen=True)
class Subject:
    name: str
    slug: str  # in names of files
    crumbs: tuple[tuple[str, str], ...]  # label and address
    address: str  # of its page
    file_address: Callable[[str], str]  # by format
    jobs_address: str
    read: Callable[[Days], Report]
    is_nation: bool = False

    def telemetry(self, days: Days) -> Telemetry:
        report = self.read(days)
        energy = energy_of(report, factors_read())
        by: list[ByPurpose] = [{}, {}]
        if self.is_nation:
            by = [throughput_by_purpose(days, name) for name in ("sector", "product_group")]
        return Telemetry(self, report, energy, *by)


def of_organisation(organisation: Organisation) -> Subject:
    return Subject(
        str(organisation),
        organisation.slug,
        (
            (_("Reports"), reverse("reports:list")),
            (str(organisation), reverse("reports:organisation", args=[organisation.slug])),
        ),
        reverse("reports:throughput", args=[organisation.slug]),
        lambda format: reverse("reports:throughput_file", args=[organisation.slug, format]),
        "",
        lambda days: throughput_of(organisation, days),
    )


def of_project(project: Project) -> Subject:
    return Subject(
        str(project),
        project.slug,
        ((str(project), reverse("people:project", args=[project.slug])),),
        reverse("reports:project", args=[project.slug]),
        lambda format: reverse("reports:project_file", args=[project.slug, format]),
        reverse("reports:project_jobs", args=[project.slug]),
        lambda days: throughput_of_project(project, days),
    )


def of_nation() -> Subject:
    return Subject(
        _("the nation"),
        "nation",
        ((_("National figures"), reverse("nation:public")),),
        reverse("nation:whole"),
        lambda format: reverse("nation:whole_file", args=[format]),
        "",
        throughput_of_nation,
        is_nation=True,
    )


def purpose_word(name: str, key: str) -> str:
    """`name`: "sector" or "product_group"; a key of the applications."""
    words = dict(SECTORS if name == "sector" else PRODUCT_GROUPS)
    return str(words.get(key) or key) if key else _("not stated")
