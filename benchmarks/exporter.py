"""A node's exporter with eight emulated GPUs: what a scrape takes, and what the exporter costs its node.

    .venv/bin/python -m benchmarks.exporter [--scrapes 200] [--idle-s 60]

First scrapes one after another, then a node scraped every 15 s while the CPU time and memory (PSS) of all its processes
are read. Prints one line a figure: name value unit aim.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from monitoring.emulator import profiles

CHECKOUT = Path(__file__).resolve().parents[1]
GPUS, SCRAPE_S, PORT, TOKEN = 8, 15, 31_945, "benchmark"
APART_S = 0.25  # each scrape sets off a collection of its own
P99_MS_MOST, CPU_PERCENT_MOST, PSS_MB_MOST = 50, 1, 60


def scrape() -> float:
    """Its milliseconds."""
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        assert answer.read().count(b"gpu_observed_seconds_total{") in (0, GPUS)
    return (time.perf_counter() - began) * 1000


def processes(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in processes(int(child)))]


def cpu_s(pids: list[int]) -> float:
    """User and system time of the processes, and of their children that have ended."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(field) for row in fields for field in row[11:15]) / os.sysconf("SC_CLK_TCK")


def pss_mb(pids: list[int]) -> float:
    rows = [Path(f"/proc/{pid}/smaps_rollup").read_text().split("\nPss:")[1].split()[0] for pid in pids]
    return sum(map(int, rows)) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scrapes", type=int, default=200)
    parser.add_argument("--idle-s", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name in ("exporter", "emulator", "runs", "jobs", "lib"):
            (folder / name).mkdir()
        subprocess.run([CHECKOUT / "monitoring/emulator/build.sh", folder / "lib"], check=True)
        conf = profiles.configuration_write(node="gpu001", of="h100", gpus=GPUS, directory=folder)
        (folder / "token").write_text(TOKEN)
        began = time.perf_counter()
        where = ["--listen", f"127.0.0.1:{PORT}", "--token-file", str(folder / "token"), "--directory", str(folder)]
        exporter = subprocess.Popen(
            [sys.executable, "-B", "-m", "monitoring.exporter", *where],
            cwd=CHECKOUT,
            env=os.environ | {"LD_LIBRARY_PATH": str(folder / "lib"), "SAOLA_EMULATOR": str(conf)},
        )
        try:
            measure(exporter.pid, began, options.scrapes, options.idle_s)
        finally:
            exporter.terminate()
            exporter.wait()


def measure(pid: int, began: float, scrapes: int, idle_s: int) -> None:
    while True:
        try:
            scrape()
            break
        except urllib.error.URLError:
            time.sleep(0.01)
    print(f"exporter_first_answer {time.perf_counter() - began:.2f} s <1")
    time.sleep(1)
    taken = []
    for _ in range(scrapes):
        taken.append(scrape())
        time.sleep(APART_S)
    print(f"exporter_scrape_p50 {statistics.median(taken):.1f} ms -")
    print(f"exporter_scrape_p99 {statistics.quantiles(taken, n=100)[98]:.1f} ms <={P99_MS_MOST}")
    pids = processes(pid)
    before, since = cpu_s(pids), time.perf_counter()
    while time.perf_counter() - since < idle_s:
        scrape()
        time.sleep(SCRAPE_S)
    share = (cpu_s(pids) - before) / (time.perf_counter() - since)
    print(f"exporter_cpu_at_15s {100 * share:.2f} % <={CPU_PERCENT_MOST}")
    print(f"exporter_pss {pss_mb(pids):.1f} MB <={PSS_MB_MOST}")


if __name__ == "__main__":
    main()
