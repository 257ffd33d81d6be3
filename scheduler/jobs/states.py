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


# Codes that say why a job ended; every other reason was for a wait or a doubt, and goes with it.
WHY_ENDED = ("drift", "never", "chain_balance", "chain_done", "suspended", "ended", "idle_gpus")


def portal_reason(code: str, /, **figures: object) -> str:
    return " ".join([f"{PORTAL_REASON}{code}", *(f"{key}={value}" for key, value in figures.items())])


def slurm_reason(code: str, message: str) -> str:
    """Slurm's own words for a refusal: "portal:refused code=CODE" and below it what sbatch printed."""
    return f"{portal_reason('refused', code=code)}\n{message.strip()[:2000]}"


# squeue's reasons for a job that somebody put on hold.
HELD_BY_OWNER = "JobHeldUser"
HELD_REASONS = (HELD_BY_OWNER, "JobHeldAdmin")
_HELD_STATES = ("REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD")


def is_left_held(state: str, reason: str) -> bool:
    """Whether Slurm by itself, or an administrator, holds a job that waits: it stays so until somebody releases it.

    `state` and `reason` as squeue says them; Slurm writes some reasons in words, "launch failed requeued held".
    """
    if OF_QUEUE.get(state) != Job.State.PENDING or reason == HELD_BY_OWNER:
        return False
    return state in _HELD_STATES or "held" in reason.lower() or reason == "JobHoldMaxRequeue"
