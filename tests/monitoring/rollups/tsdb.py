"""A Prometheus of a test's own, Debian's, over blocks that promtool made from samples with times of their own."""

import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from monitoring.rollups.prometheus import Prometheus, PrometheusError
from tests.scheduler.own_slurm import free_ports

CLOCK_HZ = 1.7e9


@dataclass
class Gpu:
    """An emulated H100 whose counters grow while it is read: `load` of the time with its tensor cores busy.

    `at` are the scrapes, `seen_s` what the exporter had read by then since it started.
    """

    uuid: str
    at: list[float]
    seen_s: list[float] = field(default_factory=list)
    load: float = 0.5
    emulated: bool = True
    use: float = 1.0  # utilisation
    watts: float = 500
    memory_bytes: int = 40 * 2**30

    def lines(self) -> Iterator[tuple[str, str]]:
        """Metric and sample."""
        for at, seen in zip(self.at, self.seen_s or self.at, strict=True):
            busy = seen * self.load
            for name, label, value in (
                ("gpu_observed_seconds", "", seen),
                ("gpu_tensor_clock_cycles", "", busy * CLOCK_HZ),
                ("gpu_tensor_observed_seconds", ',source="gpm_counter"', seen),
                ("gpu_busy_seconds", "", seen * self.use),
                ("gpu_tensor_busy_seconds", "", busy),
                ("gpu_throttled_seconds", "", 0.0),
                ("gpu_energy_joules", "", seen * self.watts),
            ):
                yield name, f'{name}_total{{job="gpu",uuid="{self.uuid}"{label}}} {value!r} {at:.3f}'
            yield "gpu_reading_age_seconds", f'gpu_reading_age_seconds{{job="gpu",uuid="{self.uuid}"}} 0 {at:.3f}'
            for name, value in (("used", self.memory_bytes), ("total", 80 * 2**30)):
                gauge = f"nvidia_gpu_memory_{name}_bytes"
                yield gauge, f'{gauge}{{job="gpu",uuid="{self.uuid}"}} {value} {at:.3f}'
            emulated = str(self.emulated).lower()
            info = f'job="gpu",uuid="{self.uuid}",emulated="{emulated}",gpu_type="h100"'
            yield "gpu_info", f"gpu_info{{{info}}} 1 {at:.3f}"


@dataclass
class Gauge:
    """Any other series: a name, labels as they are written, and its value at each time."""

    name: str
    labels: str
    values: dict[float, float]

    def lines(self) -> Iterator[tuple[str, str]]:
        for at, value in self.values.items():
            yield self.name, f"{self.name}{{{self.labels}}} {value!r} {at:.3f}"


def openmetrics_write(path: Path, gpus: Iterable[Gpu | Gauge]) -> None:
    by_name: dict[str, list[str]] = {}
    for gpu in gpus:
        for name, line in gpu.lines():
            by_name.setdefault(name, []).append(line)
    with path.open("w") as out:
        for name, lines in by_name.items():
            kind = "counter" if lines[0].startswith(f"{name}_total") else "gauge"
            out.write(f"# TYPE {name} {kind}\n" + "\n".join(lines) + "\n")
        out.write("# EOF\n")


def blocks_make(text: Path, data: Path) -> None:
    """Adds blocks to a data directory; what is there already stays."""
    subprocess.run(
        ["/usr/bin/promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(data)],
        check=True,
        capture_output=True,
        timeout=600,
    )


@contextmanager
def serving(data: Path, **limits: str) -> Iterator[Prometheus]:
    """Prometheus over that data, scraping nothing, until the end of the block."""
    config = data.parent / "prometheus.yml"
    config.write_text("global: {scrape_interval: 15s}\n")
    (port,) = free_ports(1)
    arguments = {
        "config.file": str(config),
        "storage.tsdb.path": str(data),
        "storage.tsdb.retention.time": "100y",
        "web.listen-address": f"127.0.0.1:{port}",
        "log.level": "error",
    } | limits
    process = subprocess.Popen(
        ["/usr/bin/prometheus", *(f"--{name}={value}" for name, value in arguments.items())],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    prometheus = Prometheus(f"http://127.0.0.1:{port}")
    try:
        for _second in range(200):
            try:
                prometheus.infos(0, 1)
                break
            except PrometheusError:
                assert process.poll() is None
                time.sleep(0.1)
        yield prometheus
    finally:
        process.terminate()
        process.wait(30)


class Scraping:
    """A Prometheus of a test's own that scrapes exporters, may be killed and comes back over the same data."""

    def __init__(self, base: Path, targets: Iterable[str], *, token: str, interval_s: float) -> None:
        self.base = base
        (self.port,) = free_ports(1)
        interval = f"{interval_s * 1000:.0f}ms"
        where = ", ".join(f"'{target}'" for target in targets)
        (base / "prometheus.yml").write_text(
            f"global: {{scrape_interval: {interval}, scrape_timeout: {interval}}}\n"
            f"scrape_configs: [{{job_name: gpu, authorization: {{credentials: {token}}},"
            f" static_configs: [{{targets: [{where}]}}]}}]\n"
        )
        self.prometheus = Prometheus(f"http://127.0.0.1:{self.port}")
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        arguments = {
            "config.file": self.base / "prometheus.yml",
            "storage.tsdb.path": self.base / "data",
            "web.listen-address": f"127.0.0.1:{self.port}",
            "log.level": "error",
        }
        self.process = subprocess.Popen(
            ["/usr/bin/prometheus", *(f"--{name}={value}" for name, value in arguments.items())],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return self.process

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)

    def until_scraped(self, uuids: Iterable[str], since: float) -> None:
        """Waits for a scrape of each of them."""
        wanted, deadline = set(uuids), time.monotonic() + 60
        while True:
            assert time.monotonic() < deadline, wanted
            try:
                if wanted <= self.prometheus.series(since, time.time()).keys():
                    return
            except PrometheusError:
                assert self.process.poll() is None
            time.sleep(0.1)
