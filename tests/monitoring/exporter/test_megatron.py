"""Megatron-LM's log, read into the job's own report: never more than it says, whatever stands between its lines."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.exporter.saola_report import Megatron
from tests.monitoring.exporter.conftest import CHECKOUT

HELPER = CHECKOUT / "monitoring/exporter/saola_report.py"


def line(iteration: int, ms: float = 2_000, tflops: float = 400) -> bytes:
    """As training_log prints it with --log-throughput."""
    return (
        f" [2026-11-22 10:00:00] iteration {iteration:8d}/  500000 | consumed samples: {iteration * 512:12d} | "
        f"elapsed time per iteration (ms): {ms:.1f} | throughput per GPU (TFLOP/s/GPU): {tflops:.1f} | "
        "learning rate: 1.500000E-04 | global batch size:   512 | lm loss: 2.345678E+00 | loss scale: 1.0 |\n"
    ).encode()


def total(*lines: bytes) -> int:
    reader = Megatron()
    return sum(reader.flop_of(one) for one in lines)


def test_time_and_throughput_are_means_over_the_iterations_since_the_line_before() -> None:
    step = int(400e12 * 2)
    assert total(line(10)) == step
    assert total(line(10), line(20), line(30)) == 21 * step
    assert total(line(1_000), line(1_010), line(900), line(910)) == (1 + 10 + 1 + 10) * step  # back to a checkpoint


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20), st.integers(0, 10**6))
def test_it_never_declares_more_than_was_done(gaps: list[int], began: int) -> None:
    numbers = [began + sum(gaps[: count + 1]) for count in range(len(gaps))]
    said = total(*(line(number) for number in numbers))
    assert said <= sum(gaps) * 400e12 * 2
    assert said >= (sum(gaps) - gaps[0]) * 400e12 * 2


@given(st.binary(max_size=200))
def test_other_lines_say_nothing(noise: bytes) -> None:
    assert total(noise.replace(b"iteration", b"")) == 0


@pytest.mark.parametrize(
    "words",
    [
        line(7).replace(b"2000.0", b"nan"),
        line(7).replace(b"400.0", b"-400.0"),
        line(7).replace(b"400.0", b"1e40"),
        line(7)[:150],
        b"throughput per GPU (TFLOP/s/GPU): 400.0 | ",
    ],
)
def test_hostile_and_half_lines_say_nothing(words: bytes) -> None:
    assert total(words) == 0


def reported(folder: Path) -> str:
    return "".join(file.read_text() for file in folder.glob("*.flops"))


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_log_that_grows_is_followed_until_its_script_ends(tmp_path: Path) -> None:
    """What stood in it before is another run's. The GPUs are Slurm's count of this node's."""
    log = tmp_path / "train.log"
    log.write_bytes(line(10) + line(20))
    folder = tmp_path / "report"
    folder.mkdir()
    environment = {"SAOLA_REPORT_FOLDER": str(folder), "SLURM_GPUS_ON_NODE": "8", "PATH": os.environ["PATH"]}
    script = (
        f"{sys.executable} -I {HELPER} --megatron {log} fp8 & echo $!; sleep 1; cat {tmp_path}/more >> {log}; sleep 4"
    )
    (tmp_path / "more").write_bytes(b"warning: something\n" + line(10) + line(20))
    with subprocess.Popen(["/bin/sh", "-c", script], env=environment, stdout=subprocess.PIPE, text=True) as shell:
        assert shell.stdout is not None
        child = int(shell.stdout.readline())
    until(lambda: not Path(f"/proc/{child}").exists())
    assert reported(folder) == f"fp8 dense {8 * 11 * 800 * 10**12}\n"


def test_the_end_of_a_pipe(tmp_path: Path) -> None:
    command = [sys.executable, "-I", str(HELPER), "--megatron", "-", "bf16", "2"]
    environment = {"SAOLA_REPORT_FOLDER": str(tmp_path)}
    subprocess.run(command, env=environment, input=line(5) + b"x" * 10**6 + b"\n" + line(6), check=True)
    assert reported(tmp_path) == f"bf16 dense {2 * 2 * 800 * 10**12}\n"
