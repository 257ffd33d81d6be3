"""A real job on the test stack: prolog, exporter, Prometheus, the job's own report, epilog. One job for all tests."""

import base64
import json
import pwd
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from monitoring.emulator import profiles
from tests.monitoring.exporter.conftest import Scrape
from tests.scheduler.jobs.real import place_in_slurm
from tests.scheduler.live import LiveSlurm, wait_for

pytestmark = pytest.mark.slurm
RUNS_S = 6
SCRIPT = f"""#!/bin/sh
folder=$(LOGIN/saola-report --folder)
echo fp8 > "$folder/emulator-load"
LOGIN/saola-report 1e15 fp8
echo "$SLURM_JOB_GPUS" > "$folder/indices"
touch "$folder/../../runs/x" "$folder/../../events" 2> "$folder/refused"
sleep {RUNS_S}
"""


@dataclass
class Played:
    node: str
    job: int
    uid: int
    folder: Path
    scrape: Scrape
    reports: list[dict[str, Any]]
    in_prometheus: list[dict[str, str]]
    run: Path
    indices: str
    refused: str


def environment() -> dict[str, str]:
    text = (settings.STACK_DIR / "env/manage.env").read_text()
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def ask(node: str, path: str) -> bytes:
    known = environment()
    url = json.loads(known["EXPORTERS"])["local"][node] + path
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {known['EXPORTER_TOKEN']}"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return bytes(answer.read())


def events(node: str, job: int) -> list[dict[str, Any]]:
    last = json.loads(ask(node, "/events?limit=1"))["newest"]
    found = json.loads(ask(node, f"/events?after={max(last - 500, 0)}"))["events"]
    return [one for one in found if one["job"] == job]


def prometheus(query: str) -> list[dict[str, str]]:
    parts = urllib.parse.urlsplit(environment()["PROMETHEUS_URL"])
    url = f"http://{parts.hostname}:{parts.port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    credentials = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
    request = urllib.request.Request(url, headers={"Authorization": f"Basic {credentials}"})
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return [one["metric"] for one in json.load(answer)["data"]["result"]]


@pytest.fixture(scope="module")
def played() -> Iterator[Played]:
    slurm = LiveSlurm()
    login = Path(settings.SLURM["local"]["wrappers_dir"]).parent / "bin"
    with place_in_slurm() as place:
        options = ["-A", place.account, "--qos", place.qos, "--gpus-per-node=h100:2", "--time=5"]
        script = SCRIPT.replace("LOGIN", str(login))
        answer = slurm.sbatch(place.researcher, *options, script=script)
        assert answer.code == 0, answer
        job = int(answer.out)
        shown = wait_for("the job to run", lambda: slurm.admin("squeue", "-h", "-t", "R", "-j", str(job), "-o", "%N"))
        node = shown.strip()
        folder = settings.STACK_DIR / "state/telemetry" / node
        run = wait_for("the job's folder", lambda: next(iter(folder.glob(f"runs/{job}-*")), None))
        wait_for("the script", lambda: (run / "indices").exists())
        time.sleep(2)
        scrape = Scrape(ask(node, "/metrics").decode())
        reports = [one for one in json.loads(ask(node, "/reports"))["reports"] if one["job"] == job]
        query = f'nvidia_gpu_duty_cycle{{cluster="local"}} and nvidia_gpu_jobId == {job}'
        found = wait_for("Prometheus", lambda: prometheus(query), 20)
        wait_for("the epilog", lambda: [one for one in events(node, job) if one["event"] == "end"])
        uid = pwd.getpwnam(place.researcher).pw_uid
        texts = [(run / name).read_text() for name in ("indices", "refused")]
        yield Played(node, job, uid, folder, scrape, reports, found, run, *texts)


def test_prolog_and_epilog_name_the_gpus_that_the_job_had(played: Played) -> None:
    begun, ended = events(played.node, played.job)
    of_indices = [profiles.gpu_uuid(played.node, int(one)) for one in played.indices.strip().split(",")]
    assert (begun["event"], begun["uid"], begun["gpus"]) == ("start", played.uid, of_indices)  # minors as NVML's order
    assert ended["event"] == "end"
    assert ended["gpus"] in (of_indices, [])
    assert ended["at"] - begun["at"] >= RUNS_S


def test_the_exporter_saw_the_job_and_its_load(played: Played) -> None:
    owned = [one["uuid"] for one in played.scrape.labels("gpu_job_info") if one["jobid"] == str(played.job)]
    assert len(owned) == 2
    load = profiles.truth("h100", "fp8")
    for uuid in owned:
        assert played.scrape.value("gpu_sm_clock_hertz", uuid=uuid) == load.clock_mhz * 1e6
        assert played.scrape.value("nvidia_gpu_jobUid", uuid=uuid) == played.uid


def test_the_job_s_own_report_came_through(played: Played) -> None:
    (one,) = played.reports
    assert (one["uid"], one["precision"], one["flop_total"]) == (played.uid, "fp8", str(10**15))
    reported = played.scrape.value("job_reported_flop_total", jobid=str(played.job), precision="fp8", sparsity="dense")
    assert reported == 1e15


def test_jobstats_own_question_is_answered_by_prometheus(played: Played) -> None:
    assert {one["node"] for one in played.in_prometheus} == {played.node}
    assert {one["instance"].split(":")[0] for one in played.in_prometheus} == {played.node}
    assert len({one["minor_number"] for one in played.in_prometheus}) == 2


def test_a_job_writes_nowhere_but_in_its_own_folder(played: Played) -> None:
    assert played.refused.count("Permission denied") == 2
    assert not (played.folder / "runs/x").exists()


def test_the_folder_is_closed_after_the_end(played: Played) -> None:
    assert played.run.stat().st_uid == 0
    assert not (played.folder / "jobs" / str(played.job)).exists()


def test_no_other_user_lists_jobs_or_reads_events(played: Played) -> None:
    slurm = LiveSlurm()
    for path in (
        played.folder / "jobs",
        played.folder / "runs",
        played.folder / "events",
        played.folder / "exporter/token",
    ):
        done = subprocess.run(
            ["/bin/ls", "-l", path] if path.is_dir() else ["/bin/cat", path],
            user=slurm.researchers[-1],
            capture_output=True,
        )
        assert done.returncode != 0, path
