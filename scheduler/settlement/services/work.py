"""What a reading of records came to, and one record of it that changes something."""

from dataclasses import dataclass, field
from uuid import UUID

from scheduler.jobs.models import Run
from scheduler.settlement.models import Record
from scheduler.settlement.seen import Seen


@dataclass
class Settled:
    """What a reading of records came to.

    `ignored` are records of accounts that are not ours; `early` those whose QOS, and so whose allocation, slurmdbd has
    not learned yet: they are read again. `withheld` show less than was charged while slurmdbd misses records.
    """

    read: int = 0
    ignored: int = 0
    early: int = 0
    unchanged: int = 0
    charged: int = 0
    charged_gpu_seconds: int = 0
    corrected: int = 0
    voided: int = 0
    requeued: int = 0
    withheld: int = 0
    failed: list[str] = field(default_factory=list)  # job ids whose record could not be settled; the log says why


@dataclass
class Work:
    """One record that changes something."""

    record: Record
    seen: Seen
    run: Run | None = None
    next_run: Run | None = None
    next_hold: tuple[UUID, int] | None = None
