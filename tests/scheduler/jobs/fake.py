"""A Slurm in memory, for speed: it accepts, refuses, forgets and answers late on demand.

The same promises are tested on a real Slurm in test_real_slurm.py and test_faults.py.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from portal.clock import now
from scheduler.clusters.adapters.output import LogTail, OutputEntry, OutputListing, RunUsage
from scheduler.clusters.adapters.protocol import (
    AccountingRecord,
    ClusterUnreachable,
    ControllerStatus,
    OutputRefused,
    QueueJob,
    SubmissionUnknown,
    SubmitRequest,
)


class FakeSlurm:
    def __init__(self) -> None:
        self.jobs: dict[int, QueueJob] = {}
        self.history: list[AccountingRecord] = []
        self.requests: list[SubmitRequest] = []
        self.cancelled: list[tuple[str, int]] = []  # by whom, what
        self.accounts = {"minh", "hoa", "tuan"}
        self.next_id = 100
        self.away = False
        self.booted_at = now() - timedelta(hours=1)
        self.dbd_queue = 0
        self.on_submit: list[Exception] = []  # raised by the next submissions, before anything exists
        self.after_submit: list[Exception] = []  # raised although the job exists
        self.on_release: list[Exception] = []  # raised by the next releases
        self.files: dict[tuple[str, ...], bytes] = {}  # of every job's folder
        self.used: list[RunUsage] = []
        self.reads = 0
        self.estimated: list[SubmitRequest] = []
        self.starts: dict[tuple[str, int, int, int], datetime | Exception] = {}  # by partition and shape
        self.starts_else: datetime | Exception = SubmissionUnknown("sbatch --test-only said nothing")
        self.clock_ahead = timedelta(0)

    # what the portal calls

    def controller_status(self, at: datetime | None = None) -> ControllerStatus:
        self._answer()
        answered_at = at or now()
        return ControllerStatus(
            booted_at=self.booted_at,
            dbd_queue=self.dbd_queue,
            answered_at=answered_at,
            clock_at=answered_at + self.clock_ahead,
        )

    def queue(self, *, job_ids=()) -> list[QueueJob]:
        self._answer()
        return [job for number, job in self.jobs.items() if not job_ids or number in job_ids]

    def records(self, *, since=None, until=None, job_ids=()):
        self._answer()
        return [record for record in self.history if not job_ids or record.job_id_raw in job_ids]

    def unix_account_exists(self, name: str) -> bool:
        return name in self.accounts

    def submit(self, request: SubmitRequest) -> int:
        self.requests.append(request)
        if self.on_submit:
            raise self.on_submit.pop(0)
        number = self.accept(request)
        if self.after_submit:
            raise self.after_submit.pop(0)
        return number

    def submit_many(self, requests):
        outcomes = []
        for request in requests:
            try:
                outcomes.append(self.submit(request))
            except Exception as outcome:
                outcomes.append(outcome)
        return outcomes

    def starts_estimate(self, requests):
        self._answer()
        self.estimated += requests
        shapes = [(one.partition, one.nodes, one.gpus_per_node, one.time_limit_s) for one in requests]
        return [self.starts.get(shape, self.starts_else) for shape in shapes]

    def cancel(self, *, job_id: int, unix_account: str) -> None:
        self._answer()
        self.cancelled.append((unix_account, job_id))

    def job_cancel_as_admin(self, *, job_id: str, reason: str, pending_only: bool = False) -> None:
        self._answer()
        if pending_only and self.jobs[int(job_id)].state != "PENDING":
            return
        self.cancelled.append(("admin", int(job_id)))

    def job_release(self, *, job_id: str) -> None:
        self._answer()
        if self.on_release:
            raise self.on_release.pop(0)
        self.change(int(job_id), reason="None")

    def usage(self, *, job_ids) -> list[RunUsage]:
        self._answer()
        return [run for run in self.used if run.job_id_raw in job_ids]

    def output_tail(self, *, key, unix_account, job_id, limit_bytes) -> LogTail:
        data = self.output_read(key=key, unix_account=unix_account, path=(f"slurm-{job_id}.out",))
        return LogTail(data[-limit_bytes:], max(0, len(data) - limit_bytes), len(data), now())

    def output_list(self, *, key, unix_account) -> OutputListing:
        self._answer()
        entries = (OutputEntry(path, "file", len(data), now()) for path, data in sorted(self.files.items()))
        return OutputListing(tuple(entries), 0, True)

    def output_read(self, *, key, unix_account, path) -> bytes:
        self._answer()
        self.reads += 1
        if tuple(path) not in self.files:
            raise OutputRefused("absent", "not there")
        return self.files[tuple(path)]

    # what happens in Slurm

    def accept(self, request: SubmitRequest, **changes) -> int:
        self.next_id += 1
        plain = QueueJob(
            job_id=self.next_id,
            array_job_id=None,
            array_tasks="",
            array_task_count=1,
            het_job_id=None,
            user=request.unix_account,
            account=request.account,
            qos=request.qos,
            partition=request.partition,
            state="PENDING",
            reason="None",
            comment=str(request.key),
            name=request.name,
            submit_at=now().replace(microsecond=0),
            eligible_at=None,
            start_at=None,
            time_limit_s=request.time_limit_s,
            nodes=request.nodes,
            gpus={"gpu": request.nodes * request.gpus_per_node},
            restarts=0,
        )
        self.jobs[self.next_id] = replace(plain, **changes)
        return self.next_id

    def change(self, number: int, **changes) -> None:
        self.jobs[number] = replace(self.jobs[number], **changes)

    def start(self, number: int, **changes) -> None:
        job = self.jobs[number]
        typed = {job.partition: sum(job.gpus.values())}
        self.change(number, **({"state": "RUNNING", "reason": "None", "start_at": now(), "gpus": typed} | changes))

    def forget(self, number: int, *, record_state: str = "", elapsed_s: int = 0) -> None:
        """It leaves the queue; with a state slurmdbd has a record of it."""
        job = self.jobs.pop(number)
        if not record_state:
            return
        final = record_state not in ("PENDING", "RUNNING")
        self.history.append(
            AccountingRecord(
                job_id_raw=job.job_id,
                job_id=str(job.job_id),
                account=job.account,
                user=job.user,
                qos=job.qos,
                partition=job.partition,
                state=record_state,
                submit_at=job.submit_at,
                start_at=job.start_at,
                end_at=now() if final else None,
                elapsed_s=elapsed_s,
                gpus=job.gpus,
                comment=job.comment,
            )
        )

    def _answer(self) -> None:
        if self.away:
            raise ClusterUnreachable("connect failure")
