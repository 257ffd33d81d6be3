"""`make bench`: every benchmark, one after another, each in a process of its own."""

import subprocess
import sys
from pathlib import Path

BENCHMARKS = (
    "ledger",
    "import_sacct",
    "usage_report",
    "rollup",
    "throughput_report",
    "applications",
    "reviews",
    "vouchers",
    "statements",
    "jobs",
    "cluster_page",
    "api",
    "submission",
    "exporter",
    "cluster_page --real --refreshes 100",  # last: it keeps both processors busy for some minutes
)


def main() -> int:
    codes = []
    for name in BENCHMARKS:
        codes.append(
            subprocess.run(
                [sys.executable, "-m", *f"benchmarks.{name}".split()], cwd=Path(__file__).resolve().parents[1]
            ).returncode
        )
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
