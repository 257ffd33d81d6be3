"""What a job says of its own FLOPs: taken where it can be, and where it cannot, refused and to be seen."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from monitoring.exporter.reports import REASONS, Reports
from tests.monitoring.exporter.conftest import CHECKOUT, UID, Running

JOBS = itertools.count(1001)
HELPER = CHECKOUT / "monitoring/exporter/saola_report.py"


@pytest.fixture(scope="module")
def running(exporter_on: Callable[..., Any]) -> Iterator[Running]:
    with exporter_on("h100", 8) as one:
        one.well(8)
        one.hook("start", 21, "0,1")  # who is honest
        one.job_file(21, "rank0.flops", "fp8 dense 1000\n")
        yield one


def answer(running: Running) -> dict[str, Any]:
    running.scrape()
    return dict(json.loads(running.get("/reports")))


def of(running: Running, job: int) -> dict[tuple[str, str], int]:
    found = answer(running)["reports"]
    return {(one["precision"], one["sparsity"]): int(one["flop_total"]) for one in found if one["job"] == job}


def refused(running: Running, job: int) -> set[str]:
    return {one["reason"] for one in answer(running)["refused"] if one["job"] == job}


def until(holds: Callable[[], Any], running: Running) -> None:
    running.until(lambda _: holds())


@pytest.fixture
def job(running: Running) -> Iterator[int]:
    """A run of a hostile user's."""
    number = next(JOBS)
    running.hook("start", number, "2")
    yield number
    running.hook("end", number, "2")
    assert of(running, 21)  # nothing else is affected


def test_reports_of_several_processes_are_added(running: Running, job: int) -> None:
    running.job_file(job, "a.flops", f"fp8 dense 100\nbf16 2:4 7 {job}\n")
    running.job_file(job, "b.flops", "fp8 dense 11")
    until(lambda: of(running, job) == {("fp8", "dense"): 111, ("bf16", "2:4"): 7}, running)
    now = running.scrape()
    assert now.value("job_reported_flop_total", jobid=str(job), precision="fp8", sparsity="dense") == 111
    (one,) = [one for one in answer(running)["reports"] if one["job"] == job and one["precision"] == "fp8"]
    assert (one["uid"], isinstance(one["began"], int), one["flop_total"]) == (UID, True, "111")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("fp8 dense nan", "not_a_number"),
        ("fp8 dense 1.5", "not_a_number"),
        ("fp8 dense ١٢", "malformed"),
        ("fp8 dense -5", "negative"),
        ("fp8 dense 1000000000000000000000000000000", "impossible"),
        (f"fp8 dense {'9' * 4000}", "impossible"),
        ("fp8 dense 1e30", "not_a_number"),
        ("fp4 dense 5", "unknown_precision"),
        ('x",job="7 dense 5', "unknown_precision"),
        ("fp8 sparse 5", "unknown_sparsity"),
        ("fp8 dense 5 4711", "another_job"),
        ("fp8 dense 5\nfp8 dense 6", "malformed"),
        ("fp8 dense", "malformed"),
        (b"\xff\xfe\x00", "malformed"),
        ("".join(f"label{number} dense 1\n" for number in range(1_000_000)), "too_large"),
    ],
    ids=lambda one: one[:20] if isinstance(one, str) else "bytes",
)
def test_what_is_no_report_is_refused(running: Running, job: int, text: str | bytes, reason: str) -> None:
    running.job_file(job, "bad.flops", text)
    until(lambda: refused(running, job), running)
    assert refused(running, job) == {reason}
    assert of(running, job) == {}
    now = running.scrape()
    assert now.value("gpu_exporter_refused_reports_total", reason=reason) >= 1
    assert len(now.labels("job_reported_flop_total")) == 1


def test_a_total_that_falls_is_refused_and_the_last_one_stays(running: Running, job: int) -> None:
    running.job_file(job, "a.flops", "fp8 dense 100")
    until(lambda: of(running, job), running)
    running.job_file(job, "a.flops", "fp8 dense 5")
    until(lambda: refused(running, job) == {"decreasing"}, running)
    assert of(running, job) == {("fp8", "dense"): 100}


def test_a_file_that_is_none_is_not_opened_for_long(running: Running, job: int) -> None:
    folder = running.run_folder(job)
    secret = running.base / "secret"
    secret.write_text("fp8 dense 77")
    os.symlink(secret, folder / "link.flops")
    os.mkfifo(folder / "pipe.flops")
    (folder / "folder.flops").mkdir()
    until(lambda: refused(running, job) == {"not_regular"}, running)
    assert of(running, job) == {}


def test_a_file_of_somebody_else_is_refused(running: Running, job: int) -> None:
    running.job_file(job, "other.flops", "fp8 dense 5", uid=UID - 1)
    until(lambda: refused(running, job) == {"not_theirs"}, running)
    os.link(running.run_folder(21) / "rank0.flops", running.run_folder(job) / "linked.flops")
    assert of(running, job) == {}


def test_many_files_cost_no_more_than_few(running: Running, job: int) -> None:
    for number in range(300):
        running.job_file(job, f"{number}.flops", "fp8 dense 1")
    until(lambda: refused(running, job) == {"too_many_files"}, running)
    assert of(running, job)["fp8", "dense"] <= 64
    assert running.scrape().value("gpu_exporter_collect_seconds") < 1


def test_nothing_is_taken_after_the_end(running: Running) -> None:
    running.hook("start", 900, "3")
    folder = running.run_folder(900)
    running.job_file(900, "a.flops", "fp8 dense 100")
    until(lambda: of(running, 900), running)
    running.hook("end", 900, "3")
    running.until(lambda now: not [one for one in now.labels("gpu_job_info") if one["jobid"] == "900"])
    late = folder / "a.flops"
    late.write_text("fp8 dense 500")
    os.chown(late, UID, -1)
    running.scrape()
    assert of(running, 900) == {("fp8", "dense"): 100}  # still told for a day, as it was


def test_reasons_are_a_closed_list(running: Running) -> None:
    assert {one["reason"] for one in answer(running)["refused"]} <= set(REASONS)


@pytest.mark.parametrize("name", ["events", "metrics", "reports", ""])
def test_nothing_is_told_without_the_token(running: Running, name: str) -> None:
    for token in ("", "x", "the-token-of-the-test"):
        with pytest.raises(OSError, match="401"):
            running.get(f"/{name}", token=token)


@pytest.mark.parametrize("path", ["/", "/metrics/", "/../etc/passwd", "/events/1"])
def test_there_are_three_paths(running: Running, path: str) -> None:
    with pytest.raises(OSError, match="404"):
        running.get(path)


# ---- the helper


def helper(folder: Path, *words: str, code: str = "") -> str:
    command = [sys.executable, "-I", str(HELPER), *words] if not code else [sys.executable, "-c", code]
    environment = {"SAOLA_REPORT_FOLDER": str(folder), "PYTHONPATH": str(HELPER.parent)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_the_helper_writes_what_the_exporter_takes(running: Running, job: int) -> None:
    folder = running.run_folder(job)
    helper(folder, code="from saola_report import report\nfor step in range(3): report(2e15, precision='fp8')")
    for _ in range(2):
        helper(folder, "1e14", "bf16", "2:4")
    for file in folder.glob("*.flops"):
        os.chown(file, UID, -1)
    until(lambda: of(running, job) == {("fp8", "dense"): 6 * 10**15, ("bf16", "2:4"): 2 * 10**14}, running)


def test_the_helper_never_fails_a_job(tmp_path: Path) -> None:
    assert helper(tmp_path / "nowhere", code="from saola_report import report\nreport(5)\nprint('done')") == "done\n"
    assert helper(tmp_path / "nowhere", "5") == ""
    assert helper(tmp_path, "many") == ""


def test_a_folder_of_another_name_is_no_run(tmp_path: Path) -> None:
    for name in ("7", "7-8", "x-1-2", "7-8-9-1", "-1-2-3"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.flops").write_text("fp8 dense 1")
    reports = Reports(tmp_path)
    reports.read()
    assert reports.answer() == {"reports": [], "refused": []}
