"""What the portal asks of a Slurm, and the plain values that come back. Every adapter speaks this and nothing more.

Times are aware UTC, durations integer seconds, GPU counts integers, GPU types Slurm's GRES types in lower case. Nothing
here imports Django.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, Unpack
from uuid import UUID

from scheduler.clusters.adapters.limits import QosFields, QosInfo, QosUsage, ReservationInfo
from scheduler.clusters.adapters.output import LogTail, OutputListing, RunUsage

Verb = Literal["hold", "release", "requeue"]
MOST_AT_ONCE = 16  # submissions that one call takes; the wrapper refuses more
OUTPUT_FILE_LIMIT_BYTES = 8 * 1_048_576  # of one file of a job's; the wrapper refuses larger ones


class ClusterError(Exception):
    """Slurm did not answer, or answered what we cannot read. Nothing may be concluded from it."""


class ClusterUnreachable(ClusterError):
    """slurmctld or slurmdbd cannot be reached."""


class AssociationBusy(ClusterError):
    """Slurm does not remove an association while jobs of it run."""


class VerbRefused(Exception):
    """Slurm refused to hold, release, requeue or change a job or node, in its own words: nothing was done."""


class SubmissionRefused(Exception):
    """Slurm refused by name (policy, invalid account or QOS, connect failure): the job does not exist."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code  # e.g. "qos_limit", "invalid_account", "connect_failure"
        self.message = message


class SubmissionUnknown(Exception):
    """Nobody knows whether the job exists (timeout, killed, unreadable answer). It must be looked for."""


class SubmissionNotBegun(Exception):
    """sbatch was not started for this one of several: the ones before it took too long. It can be tried again."""


class OutputRefused(Exception):
    """What was asked for is not handed out; `code` says why, `message` in one sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        # "absent", "link", "kind" (no ordinary file, no directory), "too_large", "denied", "late", "request", "user"
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class ControllerStatus:
    booted_at: datetime
    dbd_queue: int  # messages that slurmctld still has for slurmdbd
    answered_at: datetime
    # slurm.conf's, with Slurm's own defaults: how late running usage reaches the counters, how long a reply may take.
    priority_calc_period_s: int = 300
    message_timeout_s: int = 10
    clock_at: datetime | None = None  # slurmctld's own clock as it answered, to the second

    @property
    def clock_ahead_s(self) -> int:
        """By how many seconds slurmctld's clock is ahead of the portal's; 0 where it did not say."""
        return round((self.clock_at - self.answered_at).total_seconds()) if self.clock_at else 0

    @property
    def slurm_now(self) -> datetime:
        """The moment of the answer on slurmctld's clock, which is the one that writes the times of jobs."""
        return self.clock_at or self.answered_at


@dataclass(frozen=True, slots=True)
class NodeInfo:
    name: str
    state: str
    reason: str
    partitions: tuple[str, ...]
    gpus: dict[str, int]
    gpus_allocated: dict[str, int]
    cpus: int = 0


@dataclass(frozen=True, slots=True)
class PartitionInfo:
    name: str
    is_up: bool
    gpu_type: str  # "" for none
    nodes: int
    gpus_per_node: int
    max_time_s: int  # 0: no limit
    default_time_s: int
    # What a job gets beside each GPU unless it asks otherwise; 0: Slurm does not say.
    cpus_per_gpu: int = 0
    memory_mb_per_gpu: int = 0
    cpus_per_node: int = 0


@dataclass(frozen=True, slots=True)
class QueueJob:
    """One line of squeue, one per array task once it has started; a pending array is one entry, unexpanded."""

    job_id: int  # JobIDRaw of this task
    array_job_id: int | None
    array_tasks: str  # "" | "7" | "4-9%2"
    array_task_count: int  # tasks this line stands for (1 for a plain job)
    het_job_id: int | None
    user: str
    account: str
    qos: str
    partition: str
    state: str  # Slurm's long state, suffix removed: PENDING, RUNNING, …
    reason: str
    comment: str
    name: str
    submit_at: datetime
    eligible_at: datetime | None
    start_at: datetime | None  # actual for started jobs, Slurm's estimate for pending ones
    time_limit_s: int | None
    nodes: int
    gpus: dict[str, int]  # by type; "gpu" for untyped requests of pending jobs
    restarts: int


@dataclass(frozen=True, slots=True)
class AccountingRecord:
    """One slurmdbd record (one run). Key: cluster, job_id_raw, submit_at."""

    job_id_raw: int
    job_id: str
    account: str
    user: str
    qos: str
    partition: str
    state: str  # suffix removed: "CANCELLED", not "CANCELLED by 0"
    submit_at: datetime
    start_at: datetime | None
    end_at: datetime | None  # None while it runs
    elapsed_s: int
    gpus: dict[str, int]  # from AllocTRES; {"gpu": n} where only the untyped count is there
    nodes: int = 0
    exit_code: str = ""
    comment: str = ""
    name: str = ""
    restarts: int = 0
    # slurmdbd shows a short job as COMPLETED some seconds before it knows its QOS: too early to say whom to charge.
    is_qos_pending: bool = False

    @property
    def is_final(self) -> bool:
        if self.is_qos_pending:
            return False
        return self.end_at is not None and self.state not in {"PENDING", "RUNNING", "SUSPENDED", "REQUEUED_PENDING"}


@dataclass(frozen=True, slots=True)
class AccountInfo:
    name: str
    parent: str
    organisation: str
    description: str


@dataclass(frozen=True, slots=True)
class AssociationInfo:
    account: str
    user: str
    partition: str  # "" for all
    qos: tuple[str, ...]
    default_qos: str
    max_jobs: int | None = None
    max_submit_jobs: int | None = None


@dataclass(frozen=True, slots=True)
class TreeNode:
    """A place in slurmdbd's tree of accounts, kept as nested intervals: an account's, or a user's in it."""

    account: str
    user: str  # "" for the account itself
    partition: str
    parent: str  # account; "" for root
    left: int
    right: int

    @property
    def name(self) -> str:
        return "/".join(filter(None, (self.account, self.user, self.partition)))


@dataclass(frozen=True, slots=True)
class AccountingChange:
    """A change of accounts, members or QOS as slurmdbd wrote it down."""

    number: int
    at: datetime  # slurmdbd's clock
    actor: str  # unix account
    verb: str  # slurmdbd's: "Modify QOS", "Remove Associations"
    what: str  # which objects, and what was set
    words: frozenset[str]  # every name in it: of accounts, users, QOS


@dataclass(frozen=True, slots=True)
class SubmitRequest:
    key: UUID  # becomes the job's comment
    unix_account: str
    account: str
    qos: str
    partition: str
    name: str
    script: str
    nodes: int
    gpu_type: str
    gpus_per_node: int
    time_limit_s: int
    array: str = ""  # "0-99%8"
    dependency: str = ""  # "afterok:17,afterany:18"; one that can never be satisfied stays in the queue
    cpus_per_node: int = 0  # 0: what Slurm gives beside the GPUs
    reservation: str = ""
    checkpoint_lead_s: int = 0  # the script is told (USR1) so long before its limit, and may requeue its job


class ClusterAdapter(Protocol):
    """One Slurm. Reads and administration run as the worker's own user, `submit` and `cancel` as the researcher."""

    # reading
    def controller_status(self) -> ControllerStatus: ...
    def nodes(self) -> list[NodeInfo]: ...
    def partitions(self) -> list[PartitionInfo]: ...
    def reservations(self) -> list[ReservationInfo]: ...
    def queue(self, *, job_ids: Sequence[int] = ()) -> list[QueueJob]:
        """Every job that is pending, running, suspended or completing; or those of these ids (unknown ones left out).

        With ids, also jobs that ended and that slurmctld still remembers: a short one may end before its look-up.
        """

    def records(
        self, *, since: datetime | None = None, until: datetime | None = None, job_ids: Sequence[int] = ()
    ) -> Iterator[AccountingRecord]:
        """Records active in the window, or of these job ids, duplicates (runs before a requeue) included."""

    def purge_horizon(self) -> datetime | None:
        """What was submitted before it slurmdbd may have purged, by its own configuration; None: it purges nothing."""

    def usage(self, *, job_ids: Sequence[int]) -> list[RunUsage]:
        """CPU time and memory of these jobs' runs, those before a requeue included."""

    # accounts
    def accounts(self) -> list[AccountInfo]: ...
    def associations(self) -> list[AssociationInfo]: ...
    def tree(self) -> list[TreeNode] | None:
        """None where this Slurm keeps no intervals (from 23.11 on): then they cannot be wrong."""

    def changes_by_others(self, *, since: datetime) -> list[AccountingChange]:
        """What everybody but this process's own user changed."""

    def qos(self) -> list[QosInfo]: ...
    def qos_usage(self, names: Iterable[str]) -> dict[str, QosUsage]: ...
    def unix_account_exists(self, name: str) -> bool: ...
    def account_create(self, *, name: str, parent: str, organisation: str, description: str) -> None: ...
    def account_move(self, *, name: str, parent: str) -> None: ...
    def account_remove(self, *, name: str) -> None:
        """Only after its associations: Slurm keeps an account that is somebody's default. Raises AssociationBusy."""

    def association_create(
        self, *, account: str, user: str, partition: str, qos: Sequence[str], default_qos: str
    ) -> None: ...
    def associations_create(
        self, *, account: str, users: Sequence[str], partition: str, qos: Sequence[str], default_qos: str
    ) -> None:
        """Several people at once: all of them or, where Slurm refuses one, perhaps none."""

    def association_modify(
        self, *, account: str, user: str, partition: str, qos: Sequence[str], default_qos: str
    ) -> None: ...
    def association_block(self, *, account: str, user: str, partition: str) -> None:
        """No new job, no start of a pending one; what runs goes on. For what `association_remove` cannot remove yet."""

    def association_unblock(self, *, account: str, user: str, partition: str) -> None: ...
    def association_remove(self, *, account: str, user: str, partition: str) -> None:
        """Raises AssociationBusy while jobs of it run. A person's default account passes to another."""

    def qos_create(self, *, name: str, description: str, **fields: Unpack[QosFields]) -> None:
        """With its limits from the first moment; what is not named is shut: no GPU-minutes, no jobs."""

    def qos_modify(self, *, name: str, **fields: Unpack[QosFields]) -> None: ...

    # jobs
    def submit(self, request: SubmitRequest) -> int:
        """As the researcher. Returns the job id that sbatch claimed; raises SubmissionRefused or SubmissionUnknown."""

    def submit_many(self, requests: Sequence[SubmitRequest]) -> "list[int | Exception]":
        """Several of one researcher, one after another, for the price of one sudo; at most MOST_AT_ONCE.

        In their order: the job id that sbatch claimed, or what `submit` would have raised, or SubmissionNotBegun.
        """

    def starts_estimate(self, requests: Sequence[SubmitRequest]) -> "list[datetime | Exception]":
        """When Slurm would start each of these jobs of one researcher if it were submitted now; none of them is.

        In their order: the time on slurmctld's clock, SubmissionRefused, or SubmissionUnknown where it does not say.
        """

    def cancel(self, *, job_id: int, unix_account: str, task: int | None = None) -> None:
        """As the researcher; of an array one task or, without one, all. A job that has ended, or never was, is no
        error."""

    def control(self, *, verb: Verb, job_id: int, unix_account: str) -> None:
        """As the researcher. Raises VerbRefused; what was done is seen in the queue alone."""

    def job_cancel_as_admin(self, *, job_id: str, reason: str, pending_only: bool = False) -> None: ...
    def job_hold(self, *, job_id: str, reason: str) -> None: ...
    def job_release(self, *, job_id: str) -> None: ...
    def job_time_limit_set(self, *, job_id: int, time_limit_s: int) -> None:
        """As an administrator: Slurm checks neither balance nor limits. Raises VerbRefused."""

    # nodes
    def node_resume(self, *, name: str) -> None:
        """A node that is drained or down takes jobs again, where its slurmd answers. Raises VerbRefused."""

    def node_drain(self, *, name: str, reason: str) -> None:
        """A node takes no new job; what runs on it goes on. Raises VerbRefused."""

    # what a job wrote, read as the researcher: what comes back is theirs and hostile
    def output_tail(self, *, key: UUID, unix_account: str, job_id: int, limit_bytes: int) -> LogTail:
        """The end of the log of one run. Raises OutputRefused."""

    def output_list(self, *, key: UUID, unix_account: str) -> OutputListing:
        """The job's own folder, some levels deep, bounded. Raises OutputRefused."""

    def output_read(self, *, key: UUID, unix_account: str, path: Sequence[str]) -> bytes:
        """One whole file of it. Raises OutputRefused, also where it is too large."""
