"""The exporter on a real GPU, against work of known FLOPs: for a node of a type or driver that nobody has checked yet.

    python3 -m benchmarks.real_gpu [--seconds 20] [--gpu 0]

Needs a GPU that is free, PyTorch, nvidia-ml-py and prometheus-client, and nothing else of the portal. Two exporters
read the GPU, one as on a node (every 5 s), one every second. Each phase lies between two scrapes of both, with some
idle seconds around. As root, Slurm's prolog and epilog are played too, and the job declares what it did. Prints one
line a figure: name value unit aim. Status 1 where an upper bound is below what was done, or the GPU was another job's.
"""

import argparse
import json
import os
import pwd
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pynvml
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.exporter import CPU_PERCENT_MOST, P99_MS_MOST, PSS_MB_MOST, cpu_s, processes, pss_mb

CHECKOUT = Path(__file__).resolve().parents[1]
HOOK, REPORT = CHECKOUT / "monitoring/exporter/hook", CHECKOUT / "monitoring/exporter/saola_report.py"
TOKEN, NODE, JOB, USER = "benchmark", "gpu001", 4711, "nobody"
COLLECTS_S = (5, 1)  # as on a node, and more often
IDLE_S, SCRAPES, APART_S, BEGINS_S = 3.0, 60, 0.25, 60
SEEN_S = 0.5  # a scrape right after another shows what that one read
TOO_LOW = 0.995  # of what was done: an upper bound below that is none
SUMS, OF_TRUTH = ("tensor_clock_cycles", "observed_seconds", "busy_seconds"), "of what it was"
NODE_GPUS = 8
ENERGY_AGE_S = 20  # of the exporter's, at most


@dataclass(frozen=True)
class Phase:
    name: str
    kind: str = ""  # of products; "": nothing runs
    work_s: float = 0.0
    pause_s: float = 0.0
    times: int = 1


def phases(seconds: float, precisions: set[str]) -> list[Phase]:
    """fp32 is no work for tensor cores."""
    steady = [Phase(kind, kind, seconds) for kind in ("bf16", "fp8", "tf32", "fp32") if kind in {*precisions, "fp32"}]
    return [Phase("idle"), *steady, Phase("bursts", "bf16", 0.5, 1.5, 8), Phase("short", "bf16", 3)]


@dataclass(frozen=True)
class Did:
    """What a phase really did: FLOPs, seconds with a kernel running, seconds from its first scrape to its last."""

    flop: int
    busy_s: float
    lasted_s: float


class Gpu:
    def __init__(self, index: int) -> None:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(one) for one in range(pynvml.nvmlDeviceGetCount())]
        minors = sorted(pynvml.nvmlDeviceGetMinorNumber(one) for one in handles)
        self.handle = handles[index]
        self.uuid = pynvml.nvmlDeviceGetUUID(self.handle)
        self.place = minors.index(pynvml.nvmlDeviceGetMinorNumber(self.handle))  # as Slurm counts them
        self.name, self.driver = pynvml.nvmlDeviceGetName(self.handle), pynvml.nvmlSystemGetDriverVersion()

    def energy_j(self) -> float:
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(self.handle)) / 1000


class Scrape:
    """What one exporter says of one GPU."""

    def __init__(self, text: str, uuid: str) -> None:
        families = text_string_to_metric_families(text)
        self.samples = [one for family in families for one in family.samples if one.labels.get("uuid", uuid) == uuid]

    def sum(self, name: str) -> float:
        return sum(one.value for one in self.samples if one.name == name)

    def label(self, name: str, label: str) -> str:
        return next((one.labels[label] for one in self.samples if one.name == name), "")


class Exporter:
    def __init__(self, base: Path, collect_s: float) -> None:
        self.base, self.folder = base, base / NODE
        for name in ("exporter", "runs", "jobs"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "token").write_text(TOKEN)
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        where = ["--listen", f"127.0.0.1:{self.port}", "--token-file", str(self.folder / "token")]
        how = ["--collect-s", str(collect_s), "--directory", str(self.folder)]
        self.process = subprocess.Popen([sys.executable, "-B", "-m", "monitoring.exporter", *where, *how], cwd=CHECKOUT)

    def text(self) -> str:
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310
            return str(answer.read().decode())

    def begun(self, uuid: str) -> Scrape:
        until = time.monotonic() + BEGINS_S
        while time.monotonic() < until:
            try:
                scrape = Scrape(self.text(), uuid)
                if scrape.sum("gpu_observed_seconds_total"):
                    return scrape
            except urllib.error.URLError:
                pass
            time.sleep(0.5)
        raise SystemExit("real_gpu: the exporter does not read this GPU")

    def hook(self, what: str, place: int) -> None:
        slurm = {
            "SLURM_JOB_ID": str(JOB),
            "SLURM_JOB_UID": str(pwd.getpwnam(USER).pw_uid),
            "SLURM_JOB_GPUS": str(place),
        }
        environment = {"PATH": "/usr/bin:/bin", "SLURMD_NODENAME": NODE} | slurm
        subprocess.run([HOOK, what, self.base, "root"], env=environment, check=True)

    def declare(self, flop: str, precision: str) -> None:
        """As the job's own user, who need not be able to read this checkout."""
        place = (self.folder / "jobs" / str(JOB)).resolve()
        subprocess.run(
            ["/usr/bin/python3", "-", flop, precision],
            input=REPORT.read_bytes(),
            env={"SAOLA_REPORT_FOLDER": str(place)},
            cwd="/",
            user=USER,
            check=True,
        )


class Bench:
    def __init__(self, gpu: Gpu, exporters: dict[int, Exporter]) -> None:
        self.gpu, self.exporters = gpu, exporters
        self.is_root = os.geteuid() == 0
        self.is_bad = False
        gpu_type = [one.begun(gpu.uuid).label("gpu_info", "gpu_type") for one in exporters.values()][-1]
        peaks = json.loads((CHECKOUT / "quotas/estimator/peaks.json").read_text())["types"].get(gpu_type)
        if not peaks:
            raise SystemExit(f"real_gpu: nothing is known of {gpu.name!r}")
        self.sms = peaks["sms"]["value"]
        self.rates = {kind: one["value"] for kind, one in peaks["flop_per_clock_sm"].items()}
        self.most_hz = peaks["max_sm_clock_mhz"]["value"] * 1e6

    def scrapes(self) -> dict[int, Scrape]:
        return {collect_s: Scrape(one.text(), self.gpu.uuid) for collect_s, one in self.exporters.items()}

    def play(self, phase: Phase) -> None:
        load = self._load(phase) if phase.kind else None
        time.sleep(IDLE_S)
        began, before = time.monotonic(), self.scrapes()
        self._hooks("start")
        drawn = self._drawn()
        flop, busy_s = load.communicate("\n")[0].split() if load else ("0", "0")
        for one in self.exporters.values() if self.is_root and load else ():
            one.declare(flop, phase.kind)
        time.sleep(IDLE_S)
        ended, after = time.monotonic(), self.scrapes()
        self._hooks("end")
        for collect_s, share in self._drawn_since(drawn).items() if self.is_root else ():
            say(f"{phase.name}_every_{collect_s}s_energy", share, OF_TRUTH, "1")
        self._say(phase, Did(int(flop), float(busy_s), ended - began), before, after)

    def _drawn(self) -> tuple[float, dict[int, float]]:
        """Joules by the driver and by each exporter, which has just seen another owner."""
        time.sleep(SEEN_S)
        seen = {collect_s: one.sum("gpu_energy_joules_total") for collect_s, one in self.scrapes().items()}
        return self.gpu.energy_j(), seen

    def _drawn_since(self, before: tuple[float, dict[int, float]]) -> dict[int, float]:
        true_j, seen = self._drawn()
        return {collect_s: (last - before[1][collect_s]) / (true_j - before[0]) for collect_s, last in seen.items()}

    def _load(self, phase: Phase) -> Any:
        what = [phase.kind, str(phase.work_s), str(phase.pause_s), str(phase.times)]
        load = subprocess.Popen(
            [sys.executable, "-B", "-m", "benchmarks.real_gpu_load", *what],
            cwd=CHECKOUT,
            env=os.environ | {"CUDA_VISIBLE_DEVICES": self.gpu.uuid},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert load.stdout is not None
        if load.stdout.readline() != "ready\n":
            raise SystemExit("real_gpu: the products do not begin")
        return load

    def _hooks(self, what: str) -> None:
        for one in self.exporters.values() if self.is_root else ():
            one.hook(what, self.gpu.place)

    def _say(self, phase: Phase, did: Did, before: dict[int, Scrape], after: dict[int, Scrape]) -> None:
        if did.flop:
            say(f"{phase.name}_achieved", did.flop / did.busy_s / 1e12, "TFLOP/s", "-")
        for collect_s, last in after.items():
            name = f"{phase.name}_every_{collect_s}s"
            rise = {what: last.sum(f"gpu_{what}_total") - before[collect_s].sum(f"gpu_{what}_total") for what in SUMS}
            say(f"{name}_observed", rise["observed_seconds"] / did.lasted_s, "of the time", "1")
            if did.flop:
                say(f"{name}_busy", rise["busy_seconds"] / did.busy_s, OF_TRUTH, "1")
            if source := last.label("gpu_tensor_observed_seconds_total", "source"):
                self._bound_say(f"{name}_{source}_upper", phase, did, rise["tensor_clock_cycles"])
            if self.is_root:
                self._job_say(name, did, last)

    def _bound_say(self, name: str, phase: Phase, did: Did, cycles: float) -> None:
        if phase.kind not in self.rates:
            return say(name, cycles / (did.lasted_s * self.most_hz), "of the peak", "0")
        bound = cycles * self.sms * self.rates[phase.kind] / did.flop
        self.is_bad |= bound < TOO_LOW
        say(name, bound, OF_TRUTH, ">=1")

    def _job_say(self, name: str, did: Did, last: Scrape) -> None:
        owner, declared = last.label("gpu_job_info", "jobid"), last.sum("job_reported_flop_total")
        self.is_bad |= owner != str(JOB) or declared != float(did.flop)
        print(f"{name}_owner {owner or 'none'} job {JOB}", flush=True)
        if did.flop:
            say(f"{name}_declared", declared / did.flop, OF_TRUTH, "1")


def say(name: str, value: float, unit: str, aim: str) -> None:
    print(f"{name} {value:.4g} {unit} {aim}", flush=True)


class Cost:
    """CPU of the process that serves, and of the one that reads, which has as much more to do as there are GPUs."""

    def __init__(self, pid: int) -> None:
        self.pids = processes(pid)
        self.began, self.before = time.monotonic(), self.used_s()

    def used_s(self) -> tuple[float, float]:
        return cpu_s(self.pids[:1]), cpu_s(self.pids[1:])

    def say(self) -> None:
        passed_s, pairs = time.monotonic() - self.began, zip(self.before, self.used_s(), strict=True)
        serving, reading = (100 * (now - before) / passed_s for before, now in pairs)
        say("exporter_serving_cpu", serving, "% of a core", "-")
        say("exporter_reading_cpu", reading, "% of a core", "-")
        say(f"exporter_cpu_of_{NODE_GPUS}", serving + NODE_GPUS * reading, "% of a core", f"<={CPU_PERCENT_MOST}")
        say("exporter_pss", pss_mb(self.pids), "MB", f"<={PSS_MB_MOST}")


def scrapes_say(exporter: Exporter) -> None:
    taken = []
    for _ in range(SCRAPES):
        began = time.perf_counter()
        exporter.text()
        taken.append((time.perf_counter() - began) * 1000)
        time.sleep(APART_S)
    say("scrape_p50", statistics.median(taken), "ms", "-")
    say("scrape_p99", statistics.quantiles(taken, n=100)[98], "ms", f"<={P99_MS_MOST}")


def measure(gpu: Gpu, exporters: dict[int, Exporter], seconds: float) -> bool:
    bench, usual = Bench(gpu, exporters), exporters[COLLECTS_S[0]]
    cost, energy_j, before = Cost(usual.process.pid), gpu.energy_j(), bench.scrapes()
    for phase in phases(seconds, set(bench.rates)):
        bench.play(phase)
    cost.say()
    scrapes_say(usual)
    time.sleep(ENERGY_AGE_S)
    drawn_j, after = gpu.energy_j() - energy_j, bench.scrapes()
    for collect_s in exporters:
        first, last = (one[collect_s].sum("gpu_energy_joules_total") for one in (before, after))
        say(f"energy_every_{collect_s}s", (last - first) / drawn_j, OF_TRUTH, "1")
    return not bench.is_bad


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="of each steady phase")
    parser.add_argument("--gpu", type=int, default=0, help="NVML's index")
    options = parser.parse_args()
    gpu = Gpu(options.gpu)
    print(f"gpu {gpu.name.replace(' ', '_')} driver {gpu.driver}", flush=True)
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)  # the job's own user writes in it
        exporters = {collect_s: Exporter(Path(place) / f"every-{collect_s}s", collect_s) for collect_s in COLLECTS_S}
        try:
            return 0 if measure(gpu, exporters, options.seconds) else 1
        finally:
            for one in exporters.values():
                one.process.terminate()
                one.process.wait()


if __name__ == "__main__":
    sys.exit(main())
