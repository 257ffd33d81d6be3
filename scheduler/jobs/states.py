"""Slurm's words for states, and the portal's own reasons beside them. Pure."""

from scheduler.jobs.models import Job

# squeue's long states; what is missing here has ended, and the end is settlement's to tell.
OF_QUEUE: dict[str, str] = {
    "PENDING": Job.State.PENDING,
    "CONFIGURING": Job.State.PENDING,
    "REQUEUED": Job.State.PENDING,
    "REQUEUE_FED": Job.State.PENDING,
    "REQUEUE_HOLD": Job.State.PENDING,
    "RESV_DEL_HOLD": Job.State.PENDING,
    "SPECIAL_EXIT": Job.State.PENDING,
    "RUNNING": Job.State.RUNNING,
    "COMPLETING": Job.State.RUNNING,
    "SIGNALING": Job.State.RUNNING,
    "STAGE_OUT": Job.State.RUNNING,
    "RESIZING": Job.State.RUNNING,
    "SUSPENDED": Job.State.SUSPENDED,
    "STOPPED": Job.State.SUSPENDED,
}

PORTAL_REASON = "portal:"  # "portal:CODE key=value …": the page has words for it in the reader's language


def portal_reason(code: str, /, **figures: object) -> str:
    return " ".join([f"{PORTAL_REASON}{code}", *(f"{key}={value}" for key, value in figures.items())])


def slurm_reason(code: str, message: str) -> str:
    """Slurm's own words for a refusal: "portal:refused code=CODE" and below it what sbatch printed."""
    return f"{portal_reason('refused', code=code)}\n{message.strip()[:2000]}"


# squeue's reasons for a job that somebody put on hold.
HELD_BY_OWNER = "JobHeldUser"
HELD_REASONS = (HELD_BY_OWNER, "JobHeldAdmin")
