"""A cluster of national size: 1,280 nodes of 8 GPUs, 5,000 jobs in the queue. What a look costs the worker, and a page.

    .venv/bin/python -m benchmarks.cluster_page [--real] [--nodes 1280] [--jobs 5000] [--refreshes 500] [--rounds 60]

Slurm's own answers are not asked for but written, in the form in which it prints them (recorded from Slurm 22.05, the
line of a node and of a job varied): what is measured is everything of ours, from the text to the stored look. With
--real a slurmctld is asked, one of its own with 128 emulated nodes of 80 GPUs and as many jobs (national_slurm.py; a
test stack must run). Memory is the process's, after the tenth and after the last refresh. Prints one line a figure:
name value unit aim. Works in a database of its own, which it drops at the end.
"""

import argparse
import gc
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import django

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.urls import reverse  # noqa: E402

from benchmarks.database import own_database  # noqa: E402
from benchmarks.national_slurm import national_slurm  # noqa: E402
from benchmarks.pages import browser_of, page  # noqa: E402
from portal.clock import now  # noqa: E402
from portal.people.models import CentreRole, User  # noqa: E402
from scheduler.clusters.adapters.commands import CommandsAdapter  # noqa: E402
from scheduler.clusters.adapters.parse import SQUEUE_FIELDS  # noqa: E402
from scheduler.clusters.adapters.programs import Answer, Programs  # noqa: E402
from scheduler.clusters.models import Cluster  # noqa: E402
from scheduler.clusters.services import snapshot_take  # noqa: E402
from tests import factories  # noqa: E402

RECORDED = Path(__file__).resolve().parent.parent / "tests/scheduler/clusters/recorded"
P95_MS_MOST, REFRESH_S_MOST, GROWTH_MOST = 200, 3, 1.1
ORGANISATIONS, PROJECTS_EACH = 40, 5
ACCOUNT_PREFIX = "sl-"


class Written(Programs):
    """Slurm's answers, made once."""

    def __init__(self, nodes: int, jobs: int) -> None:
        super().__init__(slurm_conf="/nowhere", accounting_lock="/nowhere")
        line = (RECORDED / "nodes.txt").read_text().splitlines()[0]
        states = ["State=ALLOCATED", "State=MIXED", "State=IDLE", "State=IDLE+DRAIN", "State=DOWN*+NOT_RESPONDING"]
        texts = []
        for number in range(nodes):
            state = states[0 if number % 50 else number // 50 % len(states)]
            used = "cpu=64,mem=1000000M,gres/gpu=8,gres/gpu:h100=8" if "ALLOCATED" in state else ""
            text = line.replace("gpu001", f"gpu{number:04}").replace("State=IDLE", state)
            texts.append(text.replace("AllocTRES=", f"AllocTRES={used}"))
        self._texts = {
            "node": "\n".join(texts),
            "partition": (RECORDED / "partitions.txt").read_text(),
            "config": (RECORDED / "config.txt").read_text(),
            "sdiag": (RECORDED / "sdiag.txt").read_text(),
            "reservation": "No reservations in the system\n",
        }
        self._rows = [_row(number) for number in range(jobs)]

    def ask(self, program: str, *arguments: str, timeout_s: float = 0, stdin: str | None = None) -> Answer:
        if program == "squeue":
            cut = arguments[-1].split(",")[0].removeprefix(f"{SQUEUE_FIELDS[0]}:0")
            return Answer(0, "".join(cut.join(row) + cut + "\n" for row in self._rows), "")
        return Answer(0, self._texts[program if program == "sdiag" else arguments[-1]], "")


def _row(number: int) -> Sequence[str]:
    """One line of squeue: a tenth of the jobs run."""
    project = number % (ORGANISATIONS * PROJECTS_EACH)
    runs = number % 10 == 0
    given = {
        "JobID": str(1000 + number),
        "UserName": f"user{number % 300}",
        "Account": f"{ACCOUNT_PREFIX}p{project}",
        "QOS": f"a{project}",
        "Partition": "h100",
        "State": "RUNNING" if runs else "PENDING",
        "Reason": "None" if runs else "Priority",
        "Name": f"train {number}",
        "SubmitTime": "2026-11-22T03:45:07",
        "EligibleTime": "2026-11-22T03:45:07",
        "StartTime": "2026-11-22T04:10:00" if number % 3 else "N/A",
        "TimeLimit": "1-00:00:00",
        "NumNodes": "2",
        "tres-alloc": "cpu=128,mem=2000000M,node=2,billing=16,gres/gpu=16,gres/gpu:h100=16",
        "RestartCnt": "0",
    }
    return [given.get(name, "N/A") for name in SQUEUE_FIELDS]


def resident_mib() -> float:
    gc.collect()
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--nodes", type=int, help="1280, or 128 real ones")
    parser.add_argument("--jobs", type=int, default=5000)
    parser.add_argument("--refreshes", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    with own_database("cluster_page"), _asked(options) as adapter:
        measure("cluster_real" if options.real else "cluster", adapter, options.refreshes, options.rounds)


@contextmanager
def _asked(options: argparse.Namespace) -> Iterator[CommandsAdapter]:
    if options.real:
        with national_slurm(nodes=options.nodes or 128, jobs=options.jobs, account_prefix=ACCOUNT_PREFIX) as adapter:
            yield adapter
    else:
        yield CommandsAdapter(cluster="national", programs=Written(options.nodes or 1280, options.jobs))


def measure(name: str, adapter: CommandsAdapter, refreshes: int, rounds: int) -> None:
    cluster = Cluster.objects.create(
        name="national", title="Cụm quốc gia", account_prefix=ACCOUNT_PREFIX, created_at=now()
    )
    people = _people()
    seconds, used_s, after_tenth = [], [], 0.0
    for number in range(refreshes):
        began, used = time.monotonic(), time.process_time()
        look = snapshot_take(cluster=cluster, adapter=adapter)
        used_s.append(time.process_time() - used)
        seconds.append(time.monotonic() - began)
        if number == min(9, refreshes - 1):
            after_tenth = resident_mib()
    print(f"{name}_refresh_jobs {len(look.queue)} jobs -")
    print(f"{name}_refresh_processor {statistics.median(used_s):.2f} s <={REFRESH_S_MOST}")
    print(f"{name}_refresh_p95 {statistics.quantiles(seconds, n=20)[-1]:.2f} s <={REFRESH_S_MOST}")
    print(f"{name}_refresh_memory {resident_mib():.0f} MiB -")
    print(f"{name}_refresh_memory_growth {resident_mib() / after_tenth:.3f} ratio <={GROWTH_MOST}", flush=True)
    address = reverse("clusters:capacity", args=["national"])
    for who, person in people.items():
        page(f"{name}_page_{who}", browser_of(person), address, rounds, P95_MS_MOST)


def _people() -> dict[str, User]:
    for number in range(ORGANISATIONS):
        organisation = factories.organisation(f"Tổ chức {number}", f"o{number}", tax_code=f"01000{number:05}")
        for part in range(PROJECTS_EACH):
            at = number * PROJECTS_EACH + part
            project = factories.project(f"Dự án {at}", f"p{at}", of=organisation)
    member = factories.person("minh@o39.example", "Lê Quang Minh", unix_account="minh")
    factories.project_member(member, project)
    operator = factories.person("an@centre.example", "Hoàng Văn An", centre_roles=(CentreRole.Role.OPERATOR,))
    return {"member": member, "operator": operator}


if __name__ == "__main__":
    main()
