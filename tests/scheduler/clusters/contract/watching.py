"""A job on the live Slurm as the adapter shows it."""

from scheduler.clusters.adapters.protocol import (
    AccountingRecord,
    QueueJob,
)
from tests.scheduler.clusters.contract.ground import Ground
from tests.scheduler.live import wait_for

SLEEPER = "#!/bin/bash\nexport SLURM_EXPORT_ENV=ALL\nsleep 120\n"


def queued(ground: Ground, job_id: int) -> QueueJob:
    return wait_for(f"job {job_id}", lambda: next(iter(ground.adapter.queue(job_ids=[job_id])), None))


def running(ground: Ground, job_id: int) -> QueueJob:
    wait_for(f"job {job_id} to run", lambda: queued(ground, job_id).state == "RUNNING")
    return queued(ground, job_id)


def records_of(ground: Ground, job_id: int) -> list[AccountingRecord]:
    return [record for record in ground.adapter.records(job_ids=[job_id]) if record.job_id_raw == job_id]


def final(ground: Ground, job_id: int, runs: int = 1) -> list[AccountingRecord]:
    def ended() -> list[AccountingRecord]:
        found = records_of(ground, job_id)
        return found if len(found) == runs and all(record.is_final for record in found) else []

    return wait_for(f"{runs} final records of job {job_id}", ended, 60)
