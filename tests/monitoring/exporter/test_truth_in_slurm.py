"""Real jobs on the test stack with loads that are known, side by side: what the figures say against what was done.

The emulator counts exactly what its profile says, from the prolog's line to the epilog's; a job's own choice of a load
counts from when its file was written. So the truth of each run is known, from the nodes' files alone. What is asked
here went the whole way: hooks, exporters, Prometheus, slurmdbd, settlement, attribution, rollup.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

from monitoring.attribution import services
from monitoring.attribution.models import Exporter, HookEvent
from monitoring.emulator import profiles
from monitoring.rollups import runs, times, windows
from monitoring.rollups.models import RunDay, Window
from monitoring.rollups.prometheus import Prometheus
from monitoring.throughput.bounds import EFLOP_HOUR, Cycles, upper_any_flop, upper_flop
from monitoring.throughput.devices import Device, device_of
from portal.clock import centre_date, now
from portal.people.models import Organisation
from scheduler.clusters.services import gpu_slice_add
from scheduler.settlement.models import Record
from tests.monitoring.exporter.test_in_slurm import ask
from tests.scheduler.live import wait_for
from tests.scheduler.settlement.real import Centre, real_centre

pytestmark = [pytest.mark.slurm, pytest.mark.django_db]
SOAK = os.environ.get("SOAK") == "1"
RUNS_S = 90 if SOAK else 16
SHORT_S = 5
SLICE = "h100_1g.10gb"
CLOSE = 0.02  # of the truth, at full coverage
LOGIN = Path(settings.SLURM["local"]["wrappers_dir"]).parent / "bin" if settings.SLURM else Path()


@dataclass(frozen=True)
class Asked:
    """One job: its load, what it declares ("": nothing), where it runs."""

    load: str
    declares: str = ""  # precision
    sparsity: str = "dense"
    gpu_type: str = "h100"
    options: tuple[str, ...] = ("--gpus-per-node=h100:1",)
    runs_s: int = RUNS_S
    place: int = 0
    gpus: int = 1
    profile: str = "h100"
    precision: str = ""  # what its matrix products really are; "": none

    @property
    def script(self) -> str:
        """The load is there before anything else; FLOPs are declared for the seconds that were slept through."""
        flop = round(self.flop_s * self.runs_s)
        lines = [f'folder=$({LOGIN}/saola-report --folder); echo {self.load} > "$folder/emulator-load"']
        lines += [f"sleep {self.runs_s}"]
        lines += [f"{LOGIN}/saola-report {flop} {self.declares} {self.sparsity}"] if self.declares else []
        body = "\n".join(lines)
        if self.gpus == 1:
            return f"#!/bin/bash\nexport PATH=/usr/bin:/bin\n{body}\n"
        return f"#!/bin/bash\nexport PATH=/usr/bin:/bin SLURM_EXPORT_ENV=ALL\nsrun --mpi=none bash -c '{body}'\n"

    @property
    def device(self) -> Device:
        return device_of(self.slurm_type, "h100" if self.slurm_type == SLICE else "")

    @property
    def slurm_type(self) -> str:
        return SLICE if self.profile == "h100-mig" else self.gpu_type

    @property
    def cycles_s(self) -> float:
        """Clock cycles of one GPU a second with a tensor core active."""
        truth = profiles.truth(self.profile, self.load)
        return truth.clock_mhz * 1e6 * truth.shares["mma"]

    @property
    def flop_s(self) -> float:
        """Of one GPU, counted as the matrices' own: 2:4 sparsity does twice as many in a cycle."""
        if not self.precision:
            return 0.0
        return self.cycles_s * (self.device.flop_per_clock(self.precision) or 0) * (2 if self.sparsity == "2:4" else 1)


READ_EVERY_S = 1.0  # of the test stack's exporters
CHANGES = 3  # of a run's load
JOBS = {
    "idle": Asked("idle"),
    "bf16": Asked("bf16", declares="bf16", precision="bf16"),
    "fp8 declared": Asked("fp8", declares="fp8", precision="fp8"),
    "fp8 undeclared": Asked("fp8", precision="fp8"),
    "sparse": Asked("sparse", declares="fp8", sparsity="2:4", precision="fp8"),
    "slice": Asked(
        "fp8",
        declares="fp8",
        precision="fp8",
        options=("--partition=h100-1g", f"--gpus={SLICE}:1"),
        profile="h100-mig",
    ),
    "two nodes": Asked(
        "fp8",
        declares="fp8",
        precision="fp8",
        options=("--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=h100:1"),
        gpus=2,
    ),
    "h200": Asked(
        "fp8", precision="fp8", gpu_type="h200", options=("--gpus-per-node=h200:1",), place=1, profile="h200"
    ),
    "short": Asked("training", precision="fp8", runs_s=SHORT_S, place=1),
}


@dataclass
class Ran:
    """What came of a job. `cycles`: of all its GPUs, as the emulator's rule makes them from the nodes' files, and
    `owned_s`: how long, in GPU-seconds; slurmdbd charges whole seconds and no hooks."""

    name: str
    asked: Asked
    job: int
    record: Record
    days: list[RunDay]
    cycles: float
    owned_s: float

    @property
    def flop(self) -> float:
        return self.cycles * (self.asked.flop_s / self.asked.cycles_s if self.asked.cycles_s else 0)

    @property
    def charged_part(self) -> float:
        return min(1, self.sum("device_us") / 1e6 / self.owned_s)

    def sum(self, name: str) -> float:
        return float(sum(getattr(row, name) for row in self.days))

    @property
    def found(self) -> Cycles:
        return Cycles(
            dense=self.sum("cycles"),
            sparse=self.sum("sparse_cycles"),
            unread_dense_s=self.sum("no_cycles_us") / 1e6,
            unread_sparse_s=self.sum("sparse_no_cycles_us") / 1e6,
        )

    @property
    def is_whole(self) -> bool:
        """All of it was observed, with its tensor cycles, but for what two clocks differ by."""
        return self.found.unread_s <= 0.005 * self.sum("device_us") / 1e6


@pytest.fixture
def centre(db: None) -> Iterator[Centre]:
    gpu_slice_add(gpu_type=SLICE, parent="h100", parts=1, whole=7)
    with real_centre() as made:
        yield made


@pytest.fixture
def ran(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> list[Ran]:
    for module in (times, windows):  # a quarter of an hour of a scrape each second is more than these jobs need
        monkeypatch.setattr(module, "WINDOW", timedelta(minutes=1))
    for node in settings.EXPORTERS["local"]:
        page = json.loads(ask(node, "/events?limit=1"))
        Exporter.objects.create(cluster=centre.cluster, node=node, spool=page["spool"], read_n=page["newest"], spools=1)
    jobs = {
        name: centre.sbatch(*one.options, script=one.script, place=one.place, gpu_type=one.gpu_type)
        for name, one in JOBS.items()
    }
    time.sleep(RUNS_S)
    wait_for("the jobs' end", lambda: not centre.queue(), every_s=2)
    centre.cycle_until(lambda: Record.objects.filter(job_id_raw__in=jobs.values(), is_final=True).count() == len(jobs))
    time.sleep(2 * windows.BEYOND_SCRAPES * settings.GPU_SCRAPE_INTERVAL_S)  # the last scrapes, the last epilogs
    _count()
    records = {row.job_id_raw: row for row in Record.objects.filter(job_id_raw__in=jobs.values())}
    return [
        Ran(name, JOBS[name], job, records[job], list(RunDay.objects.filter(job_id_raw=job)), *_cycles(JOBS[name], job))
        for name, job in jobs.items()
    ]


def _count() -> None:
    assert services.exporters_pull() == 0
    services.intervals_follow()
    windows.changes_note()
    runs.records_follow(60)
    Window.objects.update(due_at=now())
    while Window.objects.filter(due_at__lte=now()).exists():
        assert windows.windows_count(Prometheus(settings.PROMETHEUS_URL), 60)


def _cycles(asked: Asked, job: int) -> tuple[float, float]:
    """The default load from the prolog on, the chosen one from its file on, until the epilog."""
    default = Asked("training", profile=asked.profile).cycles_s
    total = owned_s = 0.0
    for begun in HookEvent.objects.filter(job_id_raw=job, kind="start").select_related("exporter"):
        node = begun.exporter.node
        ended = HookEvent.objects.get(job_id_raw=job, kind="end", exporter=begun.exporter)
        (run,) = (settings.STACK_DIR / "state/telemetry" / node / "runs").glob(f"{job}-*")
        chosen = (run / "emulator-load").stat().st_mtime
        one = default * (chosen - begun.at.timestamp()) + asked.cycles_s * (ended.at.timestamp() - chosen)
        total += one * len(begun.gpus)
        owned_s += (ended.at - begun.at).total_seconds() * len(begun.gpus)
    return total, owned_s


def test_bounds_contain_what_was_done_and_are_close_to_it(ran: list[Ran], centre: Centre) -> None:
    for one in ran:
        _adds_up(one)
        _bounds_hold(one)
    whole = [one for one in ran if one.is_whole]
    assert not [(one.name, one.found, one.cycles) for one in whole if not _is_near(one)]
    if SOAK:  # long runs: what lies between two readings is little of them
        assert len(whole) >= len(ran) // 2
        assert not [(one.name, one.found, one.cycles) for one in whole if not _is_close(one)]
    assert {one.name for one in ran if one.sum("refused_flop")} == set()
    for project in centre.projects:
        _report_says_the_same(project.organisation, [one for one in ran if one.days[0].project_id == project.pk])


def _adds_up(one: Ran) -> None:
    """Observed + unobserved = charged, to the microsecond; what slurmdbd has is what was charged."""
    charged = one.record.charged_gpu_seconds
    counted = one.record.gpus * one.record.elapsed_s
    assert charged == (-(-counted // 7) if one.asked.slurm_type == SLICE else counted), one.name
    assert one.sum("allocated_gpu_seconds") == charged
    causes = ("observed_us", "without_event_us", "two_owners_us", "unread_us", "gap_us")
    assert sum(one.sum(cause) for cause in causes) == charged * 1_000_000, one.name
    assert min(one.sum(cause) for cause in causes) >= 0
    assert one.sum("without_event_us") == 0, one.name
    assert one.sum("emulated_gpu_seconds") == charged


def _bounds_hold(one: Ran) -> None:
    device, slack = one.asked.device, 1 + CLOSE  # of what is sampled
    upper, upper_any = upper_flop(device, one.found), upper_any_flop(device, one.found)
    assert upper is not None
    assert upper_any is not None
    fp8 = one.flop if one.asked.precision == "fp8" else 0.0
    assert one.sum("fp8_flop") <= fp8 <= upper * slack / one.charged_part, one.name
    assert one.sum("tensor_flop") <= one.flop <= upper_any * slack / one.charged_part, one.name
    declared = one.asked.flop_s * one.asked.runs_s * one.asked.gpus if one.asked.declares else 0
    assert one.sum("tensor_flop") == pytest.approx(declared, rel=1e-9), one.name
    assert one.sum("fp8_flop") == (pytest.approx(declared, rel=1e-9) if one.asked.declares == "fp8" else 0)


def _is_close(one: Ran) -> bool:
    """Of a job that idles: to what its GPU could have done. By what lies between two readings a run may be off."""
    of = one.cycles if one.asked.cycles_s else (one.asked.device.max_sm_clock_hz or 0) * one.sum("device_us") / 1e6
    factor = 2 if one.asked.sparsity == "2:4" else 1
    between = READ_EVERY_S * one.asked.cycles_s * one.asked.gpus
    return abs(one.found.read - factor * one.cycles) <= factor * max(CLOSE * of, between)


def _is_near(one: Ran) -> bool:
    """A busy machine reads late, and each of a run's changes of load (its start, its choice, its end) is between two
    looks; what was done there is taken to be at the higher clock."""
    factor = 2 if one.asked.sparsity == "2:4" else 1
    highest = max(one.asked.cycles_s, Asked("training", profile=one.asked.profile).cycles_s)
    between = CHANGES * READ_EVERY_S * highest * one.asked.gpus
    return abs(one.found.read - factor * one.cycles) <= factor * (CLOSE * one.cycles + between)


def _report_says_the_same(organisation: Organisation, of: list[Ran]) -> None:
    """The organisation's report is the sum of its jobs, by Slurm's GPU type."""
    out, today = StringIO(), centre_date(now())
    days = [f"--from={today - timedelta(days=1)}", f"--to={today}"]
    call_command("throughput_report", f"--organisation={organisation.slug}", *days, "--json", stdout=out)
    said = json.loads(out.getvalue().splitlines()[-1])
    types = {one.asked.slurm_type for one in of}
    assert said["allocated_gpu_seconds"].keys() == types
    for gpu_type in types:
        jobs = [one for one in of if one.asked.slurm_type == gpu_type]
        allocated = sum(one.record.charged_gpu_seconds for one in jobs)
        assert said["allocated_gpu_seconds"][gpu_type] == allocated
        assert said["observed_gpu_seconds"][gpu_type] + said["unobserved_gpu_seconds"][gpu_type] == allocated
        assert said["observed_gpu_seconds"][gpu_type] == int(sum(one.sum("observed_us") for one in jobs)) // 1_000_000
        bounds, upper = said["fp8_eflop_hours"][gpu_type], [upper_flop(one.asked.device, one.found) for one in jobs]
        assert bounds["lower"] == pytest.approx(sum(one.sum("fp8_flop") for one in jobs) / EFLOP_HOUR)
        assert bounds["upper"] == pytest.approx(sum(flop or 0 for flop in upper) / EFLOP_HOUR)
        assert said["emulated"][gpu_type] is True
