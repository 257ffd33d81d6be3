from datetime import datetime

from monitoring.reports.models import Publication
from portal.clock import centre_zone
from tests.portal.api.programs import carrying
from tests.urls.roles import Row, World

READERS = {"operator": 200, "second_operator": 200, "approver": 200, "auditor": 200}


MEMBERS = dict.fromkeys(("researcher", "pi", "organisation_manager"), 200)
reads = carrying("read")
JUNE = "?from=2026-06-01&to=2026-06-30"
FACTOR = {"kind": "pue", "value": "1.25", "valid_from": "2026-01-01", "source": "Biên bản đo 12/2025"}


def prepare(world: World) -> None:
    """A quarter behind which enough organisations stand to be told, and no more is needed of it here."""
    none = {"shown": {}, "others": None}
    flops = {"lower": 0.0, "upper": 1.0, "allocated_peak": 2.0}
    total = {"organisations": 5, "allocated_gpu_seconds": 1, "fp8_eflop_hours": flops, "coverage": 1.0}
    total |= {"energy_kwh": 1.0, "sources": [], "without": [], "emulated": False}
    parts = dict.fromkeys(("gpu_type", "sector", "product_group", "month"), none)
    content = {"least_organisations": 5, "peak_table_version": "1", "total": total, **parts}
    at = datetime(2026, 7, 20, tzinfo=centre_zone())
    Publication.objects.get_or_create(quarter="2026-Q2", defaults={"content": content, "published_at": at})


def project(world: World) -> list[str]:
    return [world.project.slug]


def organisation(world: World) -> list[str]:
    return [world.organisation.slug]


ROWS = [
    # Two organisations: managers have one report and go there, readers choose.
    Row("reports:list", 404, organisation_manager=302, outsider=302, **READERS),
    Row("reports:organisation", 404, args=organisation, organisation_manager=200, **READERS),
    Row(
        "reports:organisation",
        404,
        args=organisation,
        query="?from=2026-02-02&to=2026-02-01",
        organisation_manager=422,
        **dict.fromkeys(READERS, 422),
    ),
    Row(
        "reports:organisation_file",
        404,
        args=lambda world: [world.organisation.slug, "csv"],
        organisation_manager=200,
        **READERS,
    ),
    Row("reports:organisation_file", 404, args=lambda world: [world.organisation.slug, "odt"]),
    Row("reports:throughput", 404, args=organisation, organisation_manager=200, **READERS),
    Row(
        "reports:throughput",
        404,
        args=organisation,
        query="?from=2026-02-02&to=2026-02-01",
        organisation_manager=422,
        **dict.fromkeys(READERS, 422),
    ),
    Row(
        "reports:throughput_file",
        404,
        args=lambda world: [world.organisation.slug, "xlsx"],
        organisation_manager=200,
        **READERS,
    ),
    Row("reports:throughput_file", 404, args=lambda world: [world.organisation.slug, "exe"]),
    Row("reports:project", 404, args=project, **MEMBERS, **READERS),
    Row("reports:project_file", 404, args=lambda world: [world.project.slug, "csv"], **MEMBERS, **READERS),
    Row("reports:project_jobs", 404, args=project, **MEMBERS, **READERS),
    Row("reports:project_card", 404, args=project, **dict.fromkeys([*MEMBERS, *READERS], 204)),
    Row("reports:factors", 404, **READERS),
    Row("reports:factor_enter", 404, post=FACTOR, operator=302, second_operator=302),
    Row("reports:factor_enter", 404, post=FACTOR | {"value": "0.9"}, operator=422, second_operator=422),
    Row("nation:public", 200, anonymous=200),
    Row("nation:public", 200, query="?quarter=2026-Q2", anonymous=200),
    Row("nation:public", 404, query="?quarter=2026-Q1", anonymous=404),
    Row("nation:public_file", 200, args=lambda world: ["2026-Q2", "csv"], anonymous=200),
    Row("nation:public_file", 404, args=lambda world: ["2026-Q2", "pdf"], anonymous=404),
    Row("nation:whole", 404, **READERS),
    Row("nation:whole_file", 404, args=lambda world: ["csv"], **READERS),
    Row("reports_v1:nation", 200, anonymous=401, client=reads),
    Row(
        "reports_v1:organisation",
        404,
        args=organisation,
        query=JUNE,
        anonymous=401,
        client=reads,
        organisation_manager=200,
        **READERS,
    ),
    Row("reports_v1:project", 404, args=project, query=JUNE, anonymous=401, client=reads, **MEMBERS, **READERS),
    Row(
        "reports_v1:project",
        404,
        args=project,
        anonymous=401,
        client=reads,
        **dict.fromkeys([*MEMBERS, *READERS], 422),
    ),
    # No award yet: nothing to say, to anybody who may see the organisation.
    Row(
        "reports:organisation_card",
        404,
        args=organisation,
        researcher=204,
        pi=204,
        organisation_member=204,
        organisation_manager=204,
        **dict.fromkeys(READERS, 204),
    ),
    Row("reports:home_card", 204),
]
