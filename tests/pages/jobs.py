"""A job that runs with a log and files, one that has ended with its figures, and one that Slurm holds."""

from base64 import b64encode
from datetime import timedelta

import time_machine
from django.core.cache import caches

from portal.clock import now
from scheduler.clusters.models import Partition
from scheduler.jobs.models import Job, Run, SlurmHold
from scheduler.jobs.output.asking import Question
from tests.quotas import makers
from tests.quotas.makers import HOUR
from tests.scheduler.jobs.makers import submit

LAUNCH_FAILED = "launch failed requeued held"
LOG = "".join(f"bước {step} mất mát {3 / step:.3f} " + "=" * (step % 150) + "\n" for step in range(1, 120)).encode()
PATHS = [
    ["adapter_model.safetensors"],
    ["checkpoints"],
    ["checkpoints", "bước-100.pt"],
    ["loss.csv"],
    ["đường cong mất mát.png"],
    ["latest"],
]
KINDS = ["file", "folder", "file", "file", "file", "link"]
SIZES = [5_000_000, 4_096, 3 * 2**30, 5_120, 48_000, 10]


def jobs_in_three_states(world) -> tuple[Job, Job, Job]:
    figures = {"gpu_type": "h100", "nodes": 3, "gpus_per_node": 8, "max_time_s": 48 * HOUR, "read_at": now()}
    Partition.objects.update_or_create(cluster=world.cluster, name="h100", defaults=figures)
    allocation = makers.award(world.project, makers.programme("jobs-pages"))
    found = []
    for number, (state, reason) in enumerate((("running", ""), ("completed", ""), ("pending", LAUNCH_FAILED))):
        began = now() - timedelta(minutes=20)
        with time_machine.travel(began - timedelta(minutes=3), tick=False):
            job = submit(world.researcher, allocation, name=f"huấn luyện {number}", time_limit_s=8 * HOUR)
        Job.objects.filter(pk=job.pk).update(
            state=state,
            reason=reason,
            preset="lora",
            filled={"version": 2},
            slurm_job_id=70 + number,
            slurm_submit_at=began,
            bound_at=began,
            updated_at=began,
        )
        Run.objects.filter(job=job).update(
            state=state,
            job_id_raw=70 + number,
            submit_at=began,
            started_at=None if state == "pending" else began,
            ended_at=began + timedelta(minutes=15) if state == "completed" else None,
            charged_gpu_seconds=1_800 if state == "completed" else None,
            hold_resolved=state == "completed",
        )
        if reason:
            SlurmHold.objects.create(job=job, reason=reason, since=began)
        _answers(job, 70 + number)
        found.append(job)
    return tuple(found)


def _answers(job: Job, number: int) -> None:
    """What the cluster's worker would have answered."""
    moment = now().timestamp()
    entries = [
        {"path": path, "kind": kind, "size": size, "changed_at": moment}
        for path, kind, size in zip(PATHS, KINDS, SIZES, strict=True)
    ]
    figures = {"elapsed_s": 900, "cpus": 16, "cpu_s": 7_000.0, "memory_bytes": 2**37, "memory_used_bytes": 2**35}
    bodies = {
        Question(job.pk, "tail", number): {
            "data": b64encode(LOG).decode(),
            "begins_at": 4_000,
            "size": 4_000 + len(LOG),
            "changed_at": moment,
        },
        Question(job.pk, "list"): {"entries": entries, "unnamed": 1, "is_whole": True},
        Question(job.pk, "usage"): {"runs": [figures]},
    }
    for question, body in bodies.items():
        reply = {"at": (now() + timedelta(minutes=5)).timestamp(), "body": body, "code": "", "message": ""}
        caches["redis"].set(question.key, reply, timeout=600)
