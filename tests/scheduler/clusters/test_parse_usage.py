"""sacct's CPU time and memory, in the form in which it prints them; the real ones are in contract/test_jobs.py."""

import pytest

from scheduler.clusters.adapters.parse_usage import cpu_time_s, hosts, size_bytes, usage

SUBMIT, AGAIN = "2026-11-22T10:00:00", "2026-11-22T10:05:00"
TRES = "billing=2,cpu=16,gres/gpu:h100=2,gres/gpu=2,mem=240000M,node=2"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:01.234", 1.234),
        ("01:02:03", 3_723),
        ("2-01:00:00", 176_400),
        ("00:00:00", 0),
        ("", None),
        ("INVALID", None),
    ],
)
def test_cpu_times(text: str, seconds: float | None) -> None:
    assert cpu_time_s(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("1536K", 1_572_864), ("12.5M", 13_107_200), ("120G", 120 * 2**30), ("0", 0), ("", None), ("?", None)],
)
def test_sizes(text: str, size: int | None) -> None:
    assert size_bytes(text) == size


def test_each_run_with_its_steps() -> None:
    rows = [
        ("17", SUBMIT, "100", "16", "13:20.000", "", "", TRES, "4", "gpu[001-004]"),
        ("17.batch", SUBMIT, "100", "8", "00:01.000", "2048K", "1", "cpu=8", "1", "gpu001"),
        ("17.extern", SUBMIT, "100", "16", "00:00.002", "1K", "4", "cpu=16", "4", "gpu[001-004]"),
        ("17.0", SUBMIT, "100", "16", "13:19.000", "4G", "2", "cpu=16", "2", "gpu[001-002]"),
        ("17", AGAIN, "10", "16", "00:00:00", "", "", TRES, "4", "gpu[001-004]"),
        ("17.batch", AGAIN, "10", "8", "00:00:00", "", "1", "cpu=8", "1", "None assigned"),
    ]
    first, again = usage(rows)
    assert (first.job_id_raw, first.elapsed_s, first.cpus, first.cpu_s) == (17, 100, 16, 800.0)
    assert (first.memory_used_bytes, first.memory_bytes) == (2 * 4 * 2**30, 240_000 * 2**20)
    assert (first.nodes, first.nodes_used, again.nodes_used) == (4, 2, None)
    assert (again.cpu_s, again.memory_used_bytes) == (None, None)
    assert again.submit_at > first.submit_at


def test_a_step_without_a_job_and_no_rows_at_all() -> None:
    assert usage([]) == []
    assert usage([("17.0", SUBMIT, "1", "1", "00:01", "1K", "1", "", "1", "a")]) == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("gpu001", {"gpu001"}),
        ("gpu[001-003,010],login1", {"gpu001", "gpu002", "gpu003", "gpu010", "login1"}),
        ("a[9-11]", {"a9", "a10", "a11"}),
        ("None assigned", set()),
        ("", set()),
        ("a[1-999999999]", set()),
        ("a[3-1]", set()),
        ("a[1-2][3-4]", set()),
    ],
)
def test_names_of_hosts(text: str, names: set[str]) -> None:
    assert hosts(text) == names


def test_somebody_who_worked_on_a_node_by_ssh_used_it() -> None:
    job = ("17", SUBMIT, "100", "16", "13:20.000", "", "", TRES, "2", "gpu[001-002]")
    batch = ("17.batch", SUBMIT, "100", "8", "00:01.000", "2048K", "1", "cpu=8", "1", "gpu001")
    extern = ("17.extern", SUBMIT, "100", "16", "00:09.000", "1K", "2", "cpu=16", "2", "gpu[001-002]")
    assert [run.nodes_used for run in usage([job, batch, extern])] == [2]
    assert [run.nodes_used for run in usage([job, batch])] == [1]
