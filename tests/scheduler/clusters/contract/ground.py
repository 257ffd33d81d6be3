"""A piece of a real Slurm for one module: an organisation, a project, a QOS per GPU type, two researchers in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from uuid import uuid4

from scheduler.clusters.adapters.protocol import ClusterAdapter, SubmitRequest
from tests.scheduler.live import LiveSlurm, own_name, wait_for


@dataclass
class Ground:
    slurm: LiveSlurm
    adapter: ClusterAdapter
    organisation: str
    project: str
    h100: str  # QOS
    h200: str
    alice: str  # unix accounts
    bob: str

    def request(self, **changed: object) -> SubmitRequest:
        request = SubmitRequest(
            key=uuid4(),
            unix_account=self.alice,
            account=self.project,
            qos=self.h100,
            partition="h100",
            name="hello",
            script="#!/bin/bash\nexport SLURM_EXPORT_ENV=ALL\nsleep 1\n",
            nodes=1,
            gpu_type="h100",
            gpus_per_node=1,
            time_limit_s=60,
        )
        return replace(request, **changed)  # type: ignore[arg-type]

    def place(self, gpu_type: str = "h100") -> list[str]:
        """Where plain sbatch puts a job of this ground."""
        return [f"--account={self.project}", f"--partition={gpu_type}", f"--qos={getattr(self, gpu_type)}"]

    def limit(self, qos: str, gpu_type: str, minutes: int) -> None:
        self.adapter.qos_modify(
            name=qos,
            flags=["NoDecay", "DenyOnLimit"],
            grp_tres_mins={"gres/gpu": minutes, f"gres/gpu:{gpu_type}": minutes},
            min_tres_per_job={"gres/gpu": 1},
            grp_jobs=-1,
            grp_submit_jobs=-1,
        )

    def forget_jobs(self) -> None:
        self.slurm.root.ask("scancel", "--full", f"--account={self.project}")
        wait_for("jobs to be gone", lambda: not [j for j in self.adapter.queue() if j.account == self.project], 60)


@contextmanager
def ground_made(slurm: LiveSlurm, adapter: ClusterAdapter) -> Iterator[Ground]:
    """Its jobs are gone at the end; accounts and QOS remain."""
    organisation, project = own_name("org"), own_name("proj")
    alice, bob = slurm.researchers[:2]
    ground = Ground(slurm, adapter, organisation, project, own_name("h100"), own_name("h200"), alice, bob)
    adapter.account_create(name=organisation, parent="root", organisation=organisation, description=organisation)
    adapter.account_create(name=project, parent=organisation, organisation=organisation, description=project)
    for gpu_type in ("h100", "h200"):
        qos = getattr(ground, gpu_type)
        adapter.qos_create(name=qos, description=qos)
        ground.limit(qos, gpu_type, 10_000)
        for user in (alice, bob):
            adapter.association_create(account=project, user=user, partition=gpu_type, qos=[qos], default_qos=qos)
    yield ground
    ground.forget_jobs()
