"""A real slurmctld of national size: 128 emulated nodes of 80 GPUs, all at work, and thousands of jobs in its queue."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from scheduler.clusters.adapters.commands import CommandsAdapter
from tests.scheduler.live import LiveSlurm
from tests.scheduler.own_slurm import Partition, own_slurm

CLUSTER = "national"
GPU_TYPE, GPUS_PER_NODE = "h100", 80
PROJECTS = 8  # each with an account, a QOS and a person
HANDS = 4  # submitting side by side
LARGE, SMALL = 8, 2  # nodes of a job: the first ones are large and take the cluster, the others wait
SCRIPT = "#!/bin/sh\nsleep 86400\n"


@contextmanager
def national_slurm(*, nodes: int, jobs: int, account_prefix: str) -> Iterator[CommandsAdapter]:
    """As the cluster's worker sees it. The projects' accounts are `account_prefix` and p0, p1, …"""
    with own_slurm(
        cluster=CLUSTER, partitions=[Partition(GPU_TYPE, GPU_TYPE, nodes=nodes)], gpus_per_node=GPUS_PER_NODE
    ) as slurm:
        live = slurm.live()
        adapter = live.adapter()
        people = live.researchers
        for number in range(PROJECTS):
            account, qos = f"{account_prefix}p{number}", f"a{number}"
            adapter.account_create(name=account, parent="root", organisation="bench", description="bench")
            adapter.qos_create(
                name=qos, description="bench", grp_tres_mins={"gres/gpu": 10**9}, grp_jobs=-1, grp_submit_jobs=-1
            )
            adapter.association_create(
                account=account,
                user=people[number % len(people)],
                partition=GPU_TYPE,
                qos=[qos],
                default_qos=qos,
            )
        large = nodes // LARGE
        for number in range(large):
            _submit(live, account_prefix, number, LARGE)
        with ThreadPoolExecutor(HANDS) as pool:
            list(pool.map(lambda number: _submit(live, account_prefix, number, SMALL), range(large, large + jobs)))
        yield adapter


def _submit(live: LiveSlurm, account_prefix: str, number: int, nodes: int) -> None:
    project = number % PROJECTS
    answer = live.sbatch_unfenced(
        live.researchers[project % len(live.researchers)],
        *(f"--account={account_prefix}p{project}", f"--qos=a{project}", f"--partition={GPU_TYPE}"),
        *(f"--job-name=train {number}", f"--nodes={nodes}", f"--gpus-per-node={GPU_TYPE}:{GPUS_PER_NODE}"),
        *("--time=1-0", "--exclusive"),
        script=SCRIPT,
    )
    assert not answer.code, answer
