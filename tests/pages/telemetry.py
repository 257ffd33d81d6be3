"""A quarter of GPU-time: of the project and of five organisations more, counted, summed and published."""

from datetime import timedelta

from monitoring.reports.models import EnergyFactor, Publication
from monitoring.reports.nation.figures import content_of
from monitoring.reports.nation.quarters import Quarter
from monitoring.rollups.models import RunDay
from monitoring.rollups.sums import days_sum
from portal.clock import centre_date, now
from portal.people.models import Project
from tests import factories
from tests.quotas.makers import HOUR
from tests.urls.roles import World

SECTORS = ("education", "health", "education", "finance", "health", "education")


def telemetry(world: World) -> None:
    """`world.ran_on`: the day on which all of them ran."""
    world.ran_on = centre_date(now()) - timedelta(days=1)
    projects = [world.project]
    for number in range(5):
        other = factories.organisation(f"Viện {number}", f"vien-{number}", tax_code=f"{number:010d}")
        projects.append(Project.objects.create(organisation=other, title="Đo", slug=f"do-{number}", created_at=now()))
    rows = [_run(world, number, project, 10 + 20 * number) for number, project in enumerate(projects)]
    RunDay.objects.bulk_create([*rows, *(_run(world, 10 + number, world.project, 8) for number in range(3))])
    days_sum({(row.organisation_id, world.ran_on) for row in rows})
    EnergyFactor.objects.create(
        kind="pue", value="1.3", valid_from=world.ran_on, source="Biên bản đo", entered_by=world.operator,
        entered_at=now(),
    )  # fmt: skip
    quarter = Quarter.of(world.ran_on)
    Publication.objects.create(quarter=str(quarter), content=content_of(quarter.days, 3), published_at=now())


def _run(world: World, number: int, project: Project, hours: int) -> RunDay:
    """A tenth was not observed, a fifth of the rest idle; half of it with tensor cores busy."""
    us = hours * HOUR * 10**6
    observed = us * 9 // 10
    return RunDay(
        cluster=world.cluster, job_id_raw=7_000 + number, submit_at=now(), day=world.ran_on, project=project,
        organisation=project.organisation, user="minh", gpu_type=("h100", "h200")[number % 2], is_final=True,
        sector=SECTORS[number % 6], product_group="language_model", counted_at=now(), peaks_version="1",
        allocated_gpu_seconds=hours * HOUR, emulated_gpu_seconds=hours * HOUR, observed_us=observed,
        gap_us=us - observed, idle_us=observed // 5, no_tensor_us=observed // 10 * 3,
        throttled_lost_us=observed // 20, failed_lost_us=observed // 20 if number == 11 else 0, device_us=us,
        counter_us=observed, cycles=observed * 850.0, no_cycles_us=us - observed, energy_j=hours * 2e6,
        fp8_flop=hours * HOUR * 4e14, tensor_flop=hours * HOUR * 5e14,
    )  # fmt: skip
