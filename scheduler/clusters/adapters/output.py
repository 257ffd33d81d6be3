"""What a job wrote and used, as an adapter answers it (protocol.py)."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class LogTail:
    """The end of a job's log, as its bytes are: what the researcher's process says, and nothing to rely on."""

    data: bytes
    begins_at: int  # the first byte's place in the file
    size: int  # the whole file's, in bytes
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class OutputEntry:
    path: tuple[str, ...]  # below the job's folder
    kind: str  # file, folder, link, other
    size: int
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class OutputListing:
    entries: tuple[OutputEntry, ...]
    unnamed: int  # entries whose names no page can show
    is_whole: bool


@dataclass(frozen=True, slots=True)
class RunUsage:
    """What slurmdbd gathered of one run and its steps. None: nothing was gathered."""

    job_id_raw: int
    submit_at: datetime
    elapsed_s: int
    cpus: int
    cpu_s: float | None  # user and system time of all processes
    memory_bytes: int | None  # allotted on all nodes together
    memory_used_bytes: int | None  # at most: the largest task of each step times its tasks, of the largest step
    nodes: int = 0
    nodes_used: int | None = None  # on which a step ran, the script itself among them
