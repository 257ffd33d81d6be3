"""Submissions per second through the portal, beside a bare `sudo … sbatch` loop in the same run.

    .venv/bin/python -m benchmarks.submission [--jobs 60] [--rounds 3]

Prints one line a figure: name value unit aim. Runs on the demo stack that SAOLA_ENV_FILE names, as root: the web form
over HTTP on one side, sbatch as the same researcher with the same account, QOS and shape on the other. Rounds of both
alternate. A portal submission counts when its Slurm job id is bound, that is read back from Slurm and stored; a bare
one when sbatch returned. Each side waits for the queue to empty before the next begins.

Measured twice: with every node full, as a centre's are, so that nothing but submission takes processor time; and with
nodes free (`_starting`), where the jobs, which run `true`, start at once. The slower side then shares the processors
with more of its own jobs: starting and ending one costs this host about as much as its submission.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import django

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.conf import settings  # noqa: E402

from quotas.allocations.models import Allocation  # noqa: E402
from scheduler.clusters.models import Cluster  # noqa: E402
from scheduler.jobs.models import Job  # noqa: E402
from tests.stack.browsing import Fields, Visitor  # noqa: E402
from tests.stack.conftest import Stack  # noqa: E402

SCRIPT = "#!/bin/bash\ntrue\n"
CLIENTS = 8
BIND_S = 120
DRAIN_S = 300


class Portal:
    """The web form, opened and filled in once a client, and sent again and again with a fresh key."""

    def __init__(self, allocation: Allocation) -> None:
        self.visitors = [Stack().visitor("long", keep_alive=True) for _ in range(CLIENTS)]
        self.fields = _form(self.visitors[0]) | {
            "allocation": str(allocation.pk),
            "name": "bench",
            "gpus_per_node": "1",
            "nodes": "1",
            "time_limit": "1m",
            "script": SCRIPT,
        }
        del self.fields["csrfmiddlewaretoken"]  # each session has its own

    def submit(self, client: int) -> tuple[datetime, UUID]:
        visitor = self.visitors[client]
        fields = self.fields | {"key": str(uuid4())}
        began = datetime.now(UTC)
        status, page = visitor.post("/jobs/new/", fields)
        assert status == 302, f"the form answers {status}: {page[:300]}"
        return began, UUID(visitor.location.strip("/").split("/")[-1])


def _form(visitor: Visitor) -> dict[str, str]:
    status, page = visitor.get("/jobs/new/")
    assert status == 200, f"the form's page answers {status}"
    # A browser sends a textarea's line ends as CRLF; the form's probe tells it that.
    return {name: value.replace("\n", "\r\n") for name, value in Fields(page, "/jobs/new/").values.items()}


def bare(job: Job) -> Callable[[int], None]:
    """sbatch as the researcher, with what the portal would give it."""
    cluster = settings.SLURM[job.cluster.name]
    words = [
        *(cluster["sudo"], "-n", "-u", job.unix_account, "env", "-i", f"SLURM_CONF={cluster['slurm_conf']}"),
        *("/usr/bin/sbatch", "--parsable", "--export=NONE", "--chdir=/tmp", "--output=/dev/null"),
        f"--account={job.cluster.account_prefix}{job.project.slug}",
        f"--qos={job.allocation.qos}",
        f"--partition={job.partition}",
        f"--gpus-per-node={job.gpu_type}:1",
        *("--nodes=1", "--time=1"),
    ]

    def submit(_client: int) -> None:
        subprocess.run(words, input=SCRIPT.encode(), check=True, capture_output=True, cwd="/")

    return submit


def spread(submit: Callable[[int], object], jobs: int, clients: int) -> list[object]:
    """`jobs` calls by so many clients, each one after another."""
    with ThreadPoolExecutor(clients) as pool:
        parts = pool.map(lambda client: [submit(client) for _ in range(jobs // clients)], range(clients))
        return [one for part in parts for one in part]


def portal_rate(portal: Portal, jobs: int, clients: int) -> tuple[float, list[float]]:
    """Submissions per second until the last one is bound, and each one's seconds from POST to Slurm job id."""
    began = datetime.now(UTC)
    sent: dict[UUID, datetime] = {key: at for at, key in spread(portal.submit, jobs, clients)}  # type: ignore[misc]
    deadline = time.monotonic() + BIND_S
    while Job.objects.filter(pk__in=sent, bound_at__isnull=True).exists():
        assert time.monotonic() < deadline, f"not all of {jobs} jobs were bound within {BIND_S} s"
        time.sleep(0.02)
    bound = dict(Job.objects.filter(pk__in=sent).values_list("pk", "bound_at"))
    waits = [(bound[key] - at).total_seconds() for key, at in sent.items()]
    return len(sent) / (max(bound.values()) - began).total_seconds(), waits


def bare_rate(submit: Callable[[int], None], jobs: int, clients: int) -> float:
    began = time.monotonic()
    spread(submit, jobs, clients)
    return jobs / (time.monotonic() - began)


def slurm(cluster: Cluster, program: str, *arguments: str) -> str:
    """One of Slurm's programs, as root."""
    how = settings.SLURM[cluster.name]
    vector = [f"{how['bin_dir']}/{program}", *arguments]
    return subprocess.run(
        vector, env={"SLURM_CONF": how["slurm_conf"]}, capture_output=True, check=True
    ).stdout.decode()


def drain(job: Job) -> None:
    """Empty Slurm's queue of jobs like this one, so that one side's do not slow the other's submissions."""
    slurm(job.cluster, "scancel", "--state=PENDING", f"--qos={job.allocation.qos}")
    deadline = time.monotonic() + DRAIN_S
    while slurm(job.cluster, "squeue", "-h", "-a"):
        assert time.monotonic() < deadline, f"the queue is not empty after {DRAIN_S} s"
        time.sleep(0.5)


@contextmanager
def nothing_starts(job: Job) -> Iterator[None]:
    """To sbatch, nodes that take no more jobs are like full ones."""
    nodes = "NodeName=" + slurm(job.cluster, "sinfo", "-h", "-o", "%N", "-p", job.partition).strip()
    slurm(job.cluster, "scontrol", "update", nodes, "State=DRAIN", "Reason=benchmark")
    try:
        yield
    finally:
        slurm(job.cluster, "scontrol", "update", nodes, "State=RESUME")


def measure(name: str, portal: Portal, last: Job, clients: int, options: argparse.Namespace) -> list[float]:
    """Prints the rates and their ratio; each portal submission's seconds from POST to Slurm job id."""
    submit = bare(last)
    ratios, rates, bare_rates, waits = [], [], [], []
    for _round in range(options.rounds):
        bare_rates.append(bare_rate(submit, options.jobs, clients))
        drain(last)
        rate, seconds = portal_rate(portal, options.jobs, clients)
        drain(last)
        rates.append(rate)
        ratios.append(rate / bare_rates[-1])
        waits += seconds
    print(f"submission_{name}_portal {statistics.median(rates):.1f} 1/s -")
    print(f"submission_{name}_bare_sbatch {statistics.median(bare_rates):.1f} 1/s -")
    print(f"submission_{name}_ratio {statistics.median(ratios):.2f} 1 >=0.4", flush=True)
    return waits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=40, help="a round and side (a multiple of 8)")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    Stack().command("main_job")
    last = Job.objects.filter(name="hello-gpu", origin=Job.Origin.PORTAL).latest("created_at")
    portal = Portal(last.allocation)
    waits: list[float] = []
    for suffix, nodes in (("", nothing_starts(last)), ("_starting", nullcontext())):
        with nodes:
            for name, clients in (("sequential", 1), ("eight_at_once", CLIENTS)):
                waits += measure(name + suffix, portal, last, clients, options)
    print(f"submission_post_to_job_id_median {statistics.median(waits):.3f} s <1")


if __name__ == "__main__":
    main()
