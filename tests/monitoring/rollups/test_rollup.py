"""From hooks, records and a real Prometheus to figures that add up to what was charged."""

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.forms.models import model_to_dict

from monitoring.attribution.models import Change, Declared, Exporter, Interval
from monitoring.attribution.services import intervals_follow
from monitoring.days import Days
from monitoring.rollups import peaks, windows
from monitoring.rollups.models import MemoryPeak, NationDay, OrganisationDay, PersonDay, RunDay, Window, WindowRun
from monitoring.rollups.prometheus import Prometheus, PrometheusError
from monitoring.rollups.runs import Key, runs_refresh
from monitoring.rollups.selectors import Throughput, throughput_of, throughput_of_nation
from monitoring.rollups.times import window_of
from portal.people.models import Organisation, Project
from quotas.allocations.models import Allocation
from quotas.programmes.models import Programme
from scheduler.clusters.models import Cluster
from scheduler.jobs.models import Job, Run
from scheduler.settlement.models import Record
from tests.monitoring.conftest import RunOf, hanoi
from tests.monitoring.rollups.conftest import Says, at
from tests.monitoring.rollups.tsdb import CLOCK_HZ
from tests.quotas import makers

pytestmark = pytest.mark.django_db
JUNE = Days(date(2026, 6, 1), date(2026, 6, 30))
Count = Callable[[], None]
H100 = 132 * 8_192
GIB = 2**30


def ran(run_of: RunOf, says: Says, allocation: Allocation, began: str, ended: str, *gpus: str) -> Record:
    record = run_of(allocation, f"2026-06-10 {began}", f"2026-06-10 {ended}", gpus=len(gpus))
    says(record.job_id_raw, "start", began, *gpus, late_s=-1)
    says(record.job_id_raw, "end", ended, *gpus, late_s=2)
    return record


def figures(organisation: Organisation, gpu_type: str = "h100") -> Throughput:
    found = throughput_of(organisation, JUNE).by_type[gpu_type]
    assert found.observed_gpu_seconds + found.unobserved_gpu_seconds == found.allocated_gpu_seconds
    assert sum(found.unobserved_by_cause.values()) == found.unobserved_gpu_seconds
    return found


def test_a_run_that_was_seen_whole(
    organisation: Organisation, allocation: Allocation, run_of: RunOf, says: Says, count: Count
) -> None:
    """An hour of two GPUs, half and a quarter of it with tensor cores busy, and FP8 declared below that."""
    record = ran(run_of, says, allocation, "09:40", "10:40", "GPU-whole", "GPU-second")
    Declared.objects.create(
        cluster=record.cluster,
        node="gpu001",
        job_id_raw=record.job_id_raw,
        began_at=record.started_at,
        precision="fp8",
        sparsity="dense",
        day=date(2026, 6, 10),
        flop_total=Decimal(4 * 10**18),
        at=record.ended_at,
    )
    count()
    found = figures(organisation)
    assert found.allocated_gpu_seconds == found.observed_gpu_seconds == 7_200
    assert found.coverage == 1
    truth = H100 * CLOCK_HZ * 0.75 * 3_600
    fp8 = found.fp8
    assert fp8.lower == pytest.approx(4e18 / 3.6e21)
    assert fp8.upper == pytest.approx(truth / 3.6e21, rel=0.02)
    assert fp8.upper >= truth / 3.6e21
    assert fp8.allocated_peak == pytest.approx(2 * 1_979e12 * 3_600 / 3.6e21)
    assert found.sources == ["reported", "gpm_counter"]
    assert found.is_emulated
    row = RunDay.objects.get()
    assert (row.busy_us, row.tensor_busy_us) == (7_200_000_000, pytest.approx(2_700_000_000, abs=30_000_000))
    assert row.energy_j == pytest.approx(2 * 500 * 3_600, rel=0.01)
    assert row.outside_us == 2 * 3 * 1_000_000  # a second of prolog, two of epilog


def test_a_gap_of_ten_scrapes_is_missing_and_nothing_else(
    organisation: Organisation, allocation: Allocation, run_of: RunOf, says: Says, count: Count
) -> None:
    """The last scrape before it is 10:59:49 of the clock's quarters; eleven intervals lie between the scrapes."""
    ran(run_of, says, allocation, "09:40", "10:40", "GPU-gap")
    count()
    found = figures(organisation)
    assert found.unobserved_by_cause == {"without_event": 0, "two_owners": 0, "unread": 0, "gap": 11 * 15}
    assert found.fp8.upper == pytest.approx(H100 * (CLOCK_HZ * 0.5 * (3_600 - 165) + 1.98e9 * 165) / 3.6e21, rel=0.02)
    assert found.sources == ["gpm_counter", "none"]


def test_an_exporter_that_was_started_again_costs_what_it_missed(
    organisation: Organisation, allocation: Allocation, run_of: RunOf, says: Says, count: Count
) -> None:
    ran(run_of, says, allocation, "09:40", "10:40", "GPU-restart")
    count()
    assert figures(organisation).unobserved_by_cause == {"without_event": 0, "two_owners": 0, "unread": 5, "gap": 0}


def test_two_runs_between_two_scrapes_are_unobserved_for_both(
    organisation: Organisation, allocation: Allocation, run_of: RunOf, says: Says, count: Count
) -> None:
    first = ran(run_of, says, allocation, "09:40", "09:50", "GPU-whole")
    second = ran(run_of, says, allocation, "09:50", "10:00", "GPU-whole")
    count()
    by_run = {row.job_id_raw: row for row in RunDay.objects.all()}
    lost = [by_run[record.job_id_raw].two_owners_us for record in (first, second)]
    assert sum(lost) == 15_000_000
    assert all(lost)
    assert figures(organisation).unobserved_gpu_seconds == 15


def test_a_lost_epilog_leaves_no_stale_owner(
    organisation: Organisation, allocation: Allocation, run_of: RunOf, says: Says, count: Count
) -> None:
    """The node died at 10:00; the next job has the GPU at 10:20, and what lies between belongs to nobody."""
    dead = run_of(allocation, "2026-06-10 09:40", "2026-06-10 10:00")
    says(dead.job_id_raw, "start", "09:40", "GPU-whole")
    ran(run_of, says, allocation, "10:20", "10:40", "GPU-whole")
    count()
    assert figures(organisation).observed_gpu_seconds == figures(organisation).allocated_gpu_seconds == 2_400


def test_what_no_node_told_and_what_no_gpu_could_have_done(
    organisation: Organisation, allocation: Allocation, run_of: RunOf, says: Says, count: Count
) -> None:
    silent = run_of(allocation, "2026-06-10 09:40", "2026-06-10 10:40", gpus=2)
    liar = ran(run_of, says, allocation, "09:40", "10:40", "GPU-second")
    Declared.objects.create(
        cluster=liar.cluster, node="gpu001", job_id_raw=liar.job_id_raw, began_at=liar.started_at, precision="fp8",
        sparsity="dense", day=date(2026, 6, 10), flop_total=Decimal(10**30), at=liar.ended_at,
    )  # fmt: skip
    count()
    found = figures(organisation)
    assert found.unobserved_by_cause["without_event"] == silent.charged_gpu_seconds == 7_200
    assert (found.fp8.lower, found.any_tensor.lower) == (0, 0)
    assert found.refused_eflop_hours == pytest.approx(1e30 / 3.6e21)


def test_sums_of_every_level_are_the_runs(
    organisation: Organisation,
    other_project: Project,
    programme: Programme,
    allocation: Allocation,
    run_of: RunOf,
    says: Says,
    count: Count,
) -> None:
    other = makers.award(other_project, programme, gpu_seconds=10_000 * makers.HOUR)
    ran(run_of, says, allocation, "09:10", "10:40", "GPU-gap")
    ran(run_of, says, allocation, "10:45", "11:00", "GPU-gap")
    ran(run_of, says, other, "09:40", "10:40", "GPU-real")
    run_of(other, "2026-06-09 23:00", "2026-06-10 01:00")
    count()
    for name in ("allocated_gpu_seconds", "observed_us", "gap_us", "cycles", "no_cycles_us"):
        totals = {
            model: sum(getattr(row, name) for row in model.objects.all())
            for model in (RunDay, PersonDay, OrganisationDay, NationDay)
        }
        assert len({round(total) for total in totals.values()}) == 1, (name, totals)
    assert not figures(other_project.organisation).is_emulated
    nation = throughput_of_nation(JUNE)
    assert nation.by_type["h100"].is_emulated
    assert nation.by_type["h100"].allocated_gpu_seconds == sum(row.charged_gpu_seconds for row in Record.objects.all())
    assert sorted(nation.by_day) == [date(2026, 6, 9), date(2026, 6, 10)]


def snapshot() -> list[dict[str, object]]:
    rows = [
        model_to_dict(row, exclude=["id", "counted_at"])
        for model in (WindowRun, RunDay, PersonDay, OrganisationDay, NationDay)
        for row in model.objects.all()
    ]
    return sorted(rows, key=str)


def test_counting_again_changes_nothing(
    allocation: Allocation, run_of: RunOf, says: Says, count: Count, prometheus: Prometheus
) -> None:
    ran(run_of, says, allocation, "09:40", "10:40", "GPU-gap", "GPU-restart")
    ran(run_of, says, allocation, "10:40", "10:45", "GPU-gap")
    count()
    before = snapshot()
    assert len(before) > 8
    assert not Window.objects.filter(due_at__isnull=False).exists()
    windows.windows_due(hanoi("2026-06-10 09:00"), hanoi("2026-06-10 12:00"))
    Change.objects.create(began_at=hanoi("2026-06-10 10:00"), ended_at=hanoi("2026-06-10 10:01"))
    count()
    assert snapshot() == before
    assert not Window.objects.filter(due_at__isnull=False).exists()  # all of them were


def test_prometheus_away_is_no_gap_and_is_made_up_for(
    organisation: Organisation, allocation: Allocation, run_of: RunOf, says: Says, count: Count
) -> None:
    ran(run_of, says, allocation, "09:40", "10:40", "GPU-whole")
    windows.changes_note()
    due = Window.objects.filter(due_at__isnull=False).count()
    assert windows.windows_count(Prometheus("http://127.0.0.1:9"), 60) == 0
    assert Window.objects.filter(due_at__isnull=False).count() == due
    assert "does not answer" in Window.objects.get(failures=1).error
    assert not WindowRun.objects.exists()
    Window.objects.update(due_at=hanoi("2026-06-11 07:00"))
    count()
    assert not Window.objects.filter(failures__gt=0).exists()
    assert figures(organisation).unobserved_gpu_seconds == 0


def test_the_most_memory_that_a_gpu_held_is_kept(
    allocation: Allocation, run_of: RunOf, says: Says, count: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all its GPUs, asked in parts, once; and of none that nobody measured."""
    both = ran(run_of, says, allocation, "09:40", "10:40", "GPU-whole", "GPU-second")
    ran(run_of, says, allocation, "10:40", "10:50", "GPU-whole")
    ran(run_of, says, allocation, "09:40", "10:40", "GPU-unknown")
    monkeypatch.setattr(peaks, "SAMPLES_MOST", 1)  # a GPU a question
    count()
    kept = dict(MemoryPeak.objects.values_list("used_bytes", "total_bytes"))
    assert kept == {40 * GIB: 80 * GIB, 60 * GIB: 80 * GIB}
    assert MemoryPeak.objects.get(used_bytes=60 * GIB).submit_at == both.submit_at
    asked = []
    monkeypatch.setattr(peaks, "_asked", lambda _prometheus, key, *_rest: asked.append(key.job_id_raw))
    windows.windows_due(hanoi("2026-06-10 09:00"), hanoi("2026-06-10 12:00"))
    count()
    assert len(asked) == 1  # the one without


def test_memory_that_is_not_answered_stays_unknown_and_stops_nothing(
    organisation: Organisation, allocation: Allocation, run_of: RunOf, says: Says, count: Count,
    prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    ran(run_of, says, allocation, "09:40", "10:40", "GPU-whole")
    monkeypatch.setattr(peaks, "MEMORY_USED", "no query {")
    count()
    assert figures(organisation).unobserved_gpu_seconds == 0
    assert not Window.objects.filter(failures__gt=0).exists()
    assert not MemoryPeak.objects.exists()


def test_a_record_that_comes_late_counts_anew(
    organisation: Organisation, allocation: Allocation, run_of: RunOf, says: Says, count: Count
) -> None:
    """Its events came first, for a job that nobody knew; another one's end was wrong at first."""
    says(1, "start", "09:40", "GPU-whole")
    says(1, "end", "10:40", "GPU-whole")
    count()
    assert Interval.objects.get().submit_at is None
    record = run_of(allocation, "2026-06-10 09:40", "2026-06-10 10:40")
    intervals_follow()
    count()
    assert figures(organisation).observed_gpu_seconds == 3_600
    ended_at = hanoi("2026-06-10 10:10")
    Record.objects.filter(pk=record.pk).update(
        ended_at=ended_at,
        elapsed_s=1_800,
        gpu_seconds=1_800,
        charged_gpu_seconds=1_800,
        read_at=hanoi("2026-06-11 08:00"),
    )
    intervals_follow()
    count()
    found = figures(organisation)
    assert (found.allocated_gpu_seconds, found.observed_gpu_seconds) == (1_800, 1_800)


def test_a_day_has_what_ran_on_it(
    organisation: Organisation, allocation: Allocation, run_of: RunOf, says: Says, count: Count
) -> None:
    """A window never lies on two days, and a run without a sample is a gap on each of its days."""
    run_of(allocation, "2026-06-09 22:00", "2026-06-10 01:00", gpus=2)
    count()
    by_day = throughput_of(organisation, JUNE).by_day
    assert {day: row["h100"].unobserved_gpu_seconds for day, row in by_day.items()} == {
        date(2026, 6, 9): 4 * 3_600,
        date(2026, 6, 10): 2 * 3_600,
    }
    assert window_of(hanoi("2026-06-10 00:00")) == hanoi("2026-06-10 00:00")


def test_old_months_go_and_what_was_counted_in_them_stands(
    organisation: Organisation,
    allocation: Allocation,
    run_of: RunOf,
    says: Says,
    count: Count,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = ran(run_of, says, allocation, "09:40", "10:40", "GPU-whole")
    count()
    at(monkeypatch, hanoi("2026-12-01"))
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # as at a transaction's end: nothing is pending on the table
    windows.windows_forget()
    assert not WindowRun.objects.exists()
    assert not Window.objects.exists()
    runs_refresh({Key(record.cluster_id, record.job_id_raw, record.submit_at)})
    assert figures(organisation).observed_gpu_seconds == 3_600


def test_an_answer_with_a_warning_is_no_answer(prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps({"status": "success", "warnings": ["remote read failed"], "data": {"result": []}}).encode()
    monkeypatch.setattr(Prometheus, "_post", lambda *arguments: body)
    with pytest.raises(PrometheusError, match="remote read"):
        prometheus.series(0, 1)


def test_the_command_says_it_by_gpu_type(
    organisation: Organisation, allocation: Allocation, run_of: RunOf, says: Says, count: Count
) -> None:
    ran(run_of, says, allocation, "09:40", "10:40", "GPU-whole")
    count()
    out = StringIO()
    call_command(
        "throughput_report", "--json", organisation=organisation.slug, first="2026-06-10", last="2026-06-10", stdout=out
    )
    said = json.loads(out.getvalue().splitlines()[-1])
    assert said["allocated_gpu_seconds"] == said["observed_gpu_seconds"] == {"h100": 3_600}
    assert said["unobserved_gpu_seconds"] == {"h100": 0}
    assert set(said["fp8_eflop_hours"]["h100"]) == {"lower", "upper", "allocated_peak", "achievable"}
    assert said["emulated"] == {"h100": True}
    assert said["sources"] == {"h100": ["gpm_counter"]}
    assert said["peak_table_version"] == "2026-11.2"


def test_a_running_job_has_figures_that_no_sum_has_yet(
    cluster: Cluster,
    project: Project,
    allocation: Allocation,
    exporter: Exporter,
    says: Says,
    count: Count,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At 10:20, after half an hour: the window of that time is counted as far as it goes, and is due again."""
    began, moment = hanoi("2026-06-10 09:50"), hanoi("2026-06-10 10:20")
    job = Job.objects.create(
        origin=Job.Origin.OUTSIDE, cluster=cluster, project=project, allocation=allocation, unix_account="minh",
        name="long", partition="h100", gpu_type="h100", time_limit_s=86_400, state=Job.State.RUNNING,
        slurm_job_id=7, slurm_submit_at=began, created_at=began, updated_at=began,
    )  # fmt: skip
    Run.objects.create(
        job=job, cluster=cluster, job_id_raw=7, submit_at=began, started_at=began, gpus=1, created_at=began,
        state=Job.State.RUNNING,
    )  # fmt: skip
    at(monkeypatch, moment)
    says(7, "start", "09:50", "GPU-whole")
    windows.live_open()
    windows.changes_note()
    Window.objects.update(due_at=moment)  # a minute later, when the last scrape is in
    count()
    row = RunDay.objects.get()
    assert not row.is_final
    assert row.allocated_gpu_seconds == 1_800
    assert 1_800 - 15 <= row.observed_us / 1e6 <= 1_800  # up to the last scrape
    assert Window.objects.get(starts_at=window_of(moment)).due_at == moment + windows.LIVE_EVERY
    assert not OrganisationDay.objects.exists()
    assert not MemoryPeak.objects.exists()
