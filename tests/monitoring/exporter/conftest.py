"""Exporters on GPUs that the emulator makes: real processes, the real ctypes path, the hook that Slurm runs."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitoring.emulator import profiles

CHECKOUT = Path(__file__).resolve().parents[3]
HOOK = CHECKOUT / "monitoring/exporter/hook"
TOKEN = "the-token-of-the-tests"
COLLECT_S, DEADLINE_S, RETRY_S = 0.3, 2.5, 0.3  # a busy machine must not make a GPU look hung
PATIENCE_S = 40
UID = 65_534


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Absent(AssertionError):
    """A scrape has no such series, or several."""


class Scrape:
    """One answer of /metrics."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def values(self, name: str, **labels: str) -> list[float]:
        wanted = labels.items()
        return [one.value for one in self.samples if one.name == name and wanted <= one.labels.items()]

    def value(self, name: str, **labels: str) -> float:
        found = self.values(name, **labels)
        if len(found) != 1:
            raise Absent(f"{len(found)} of {name} {labels}")
        return found[0]

    def labels(self, name: str) -> list[dict[str, str]]:
        return [one.labels for one in self.samples if one.name == name]


class Running:
    """An exporter, its emulated GPUs and its node's folder."""

    def __init__(self, base: Path, node: str, profile: str, gpus: int, library: Path) -> None:
        self.base, self.node, self.profile = base, node, profile
        self.folder = base / node
        for name in ("exporter", "emulator", "runs", "jobs"):
            (self.folder / name).mkdir(parents=True)
        base.chmod(0o755)
        self.folder.chmod(0o755)
        self.environment = os.environ | {
            "LD_LIBRARY_PATH": str(library),
            "SAOLA_EMULATOR": str(
                profiles.configuration_write(node=node, of=profile, gpus=gpus, directory=self.folder)
            ),
        }
        (self.folder / "token").write_text(TOKEN)
        self.port = free_port()
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        where = ["--listen", f"127.0.0.1:{self.port}", "--token-file", str(self.folder / "token")]
        how = ["--collect-s", str(COLLECT_S), "--deadline-s", str(DEADLINE_S), "--retry-s", str(RETRY_S)]
        return subprocess.Popen(
            [sys.executable, "-B", "-m", "monitoring.exporter", *where, *how, "--directory", str(self.folder)],
            cwd=CHECKOUT,
            env=self.environment,
        )

    def end(self) -> None:
        self.control()
        self.process.terminate()
        assert self.process.wait(10) == 0

    # ---- what it says

    def get(self, path: str, token: str = TOKEN, timeout_s: float = 10) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
        request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
            return bytes(answer.read())

    def scrape(self) -> Scrape:
        return Scrape(self.get("/metrics").decode())

    def until(self, holds: Callable[[Scrape], Any]) -> Scrape:
        """The first scrape of which that is so."""
        deadline = time.monotonic() + PATIENCE_S
        last = None
        while time.monotonic() < deadline:
            try:
                last = self.scrape()
                if holds(last):
                    return last
            except (urllib.error.URLError, ConnectionError):
                pass  # it begins
            except Absent:
                pass  # a reading that is not fresh has no series
            time.sleep(0.15)
        raise AssertionError(last.text if last else "the exporter does not answer")

    def well(self, gpus: int) -> Scrape:
        return self.until(
            lambda now: now.values("gpu_exporter_gpus", state="ok") == [gpus] and now.values("gpu_energy_joules_total")
        )

    # ---- what happens to it

    def control(self, *faults: str) -> None:
        place = self.folder / "emulator/control"
        new = place.with_suffix(".new")
        new.write_text("".join(f"{fault}\n" for fault in faults))
        new.replace(place)

    def hook(self, what: str, job: int, gpus: str, uid: int = UID, **environment: str) -> None:
        """As slurmd calls it, as root."""
        slurm = {"SLURM_JOB_ID": str(job), "SLURM_JOB_UID": str(uid), "SLURM_JOB_GPUS": gpus}
        done = subprocess.run(
            [str(HOOK), what, str(self.base), "root"],
            env={"PATH": "/usr/bin:/bin", "SLURMD_NODENAME": self.node} | slurm | environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert (done.stdout, done.stderr) == ("", "")

    def run_folder(self, job: int) -> Path:
        return (self.folder / "jobs" / str(job)).resolve()

    def job_file(self, job: int, name: str, text: str | bytes, uid: int = UID) -> Path:
        place = self.run_folder(job) / name
        new = place.with_name(f"{name}.new")
        new.write_bytes(text if isinstance(text, bytes) else text.encode())
        os.chown(new, uid, -1)
        new.replace(place)
        return place


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the emulator's libnvidia-ml.so.1 in it."""
    place = tmp_path_factory.mktemp("nvml")
    subprocess.run([CHECKOUT / "monitoring/emulator/build.sh", place], check=True)
    return place


@pytest.fixture(scope="module")
def exporter_on(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    @contextmanager
    def begin(profile: str, gpus: int, node: str = "gpu001") -> Iterator[Running]:
        running = Running(tmp_path_factory.mktemp("telemetry"), node, profile, gpus, library)
        try:
            yield running
        finally:
            running.end()

    return begin
