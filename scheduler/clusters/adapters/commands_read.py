"""Reading nodes, partitions, queue and accounting through Slurm's own commands."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta

from portal.clock import now
from scheduler.clusters.adapters import parse, parse_limits, parse_usage
from scheduler.clusters.adapters.limits import ReservationInfo
from scheduler.clusters.adapters.output import RunUsage
from scheduler.clusters.adapters.programs import Programs, failure, separator
from scheduler.clusters.adapters.protocol import (
    AccountingRecord,
    ControllerStatus,
    NodeInfo,
    PartitionInfo,
    QueueJob,
)

_IDS_A_CALL = 500  # job ids in one argument; far below the kernel's limit for one
_BEGINNING = "2000-01-01T00:00:00"  # before any record


class ReadCommands:
    cluster: str
    programs: Programs

    def controller_status(self) -> ControllerStatus:
        """Raises ClusterUnreachable after 9 s where slurmctld is dead, 10 s where it hangs. Ask it first."""
        config = self.programs.read("scontrol", "show", "config")
        return parse.controller_status(config, self.programs.read("sdiag"), now())

    def nodes(self) -> list[NodeInfo]:
        return parse.nodes(self.programs.read("scontrol", "-a", "-o", "show", "node"))

    def partitions(self) -> list[PartitionInfo]:
        return parse.partitions(self.programs.read("scontrol", "-a", "-o", "show", "partition"), self.nodes())

    def reservations(self) -> list[ReservationInfo]:
        shown = self.programs.read("scontrol", "-o", "show", "reservation")
        return parse_limits.reservations(shown, self.nodes()) if "ReservationName=" in shown else []

    def queue(self, *, job_ids: Sequence[int] = ()) -> list[QueueJob]:
        if not job_ids:
            return self._queue(["-a"])
        ids = [str(job_id) for job_id in job_ids]
        found: list[QueueJob] = []
        for begin in range(0, len(ids), _IDS_A_CALL):
            found += self._queue(["-a", "-t", "all", "-j", ",".join(ids[begin : begin + _IDS_A_CALL])])
        return found

    def _queue(self, arguments: Sequence[str]) -> list[QueueJob]:
        cut = separator()
        # Width 0 prints a field whole; what follows the width is printed after it.
        fields = ",".join(f"{name}:0{cut}" for name in parse.SQUEUE_FIELDS)
        answer = self.programs.ask("squeue", "-h", *arguments, "-O", fields)
        if answer.code:
            if "Invalid job id specified" in answer.error:  # one id was asked for, and slurmctld forgot it
                return []
            raise failure("squeue", answer)
        rows = parse.records_split([answer.out], cut, len(parse.SQUEUE_FIELDS))
        return [parse.queue_job(fields) for fields in rows]

    def records(
        self, *, since: datetime | None = None, until: datetime | None = None, job_ids: Sequence[int] = ()
    ) -> Iterator[AccountingRecord]:
        window = ["-S", _slurm_time(since) if since else _BEGINNING]
        if until is not None:
            window += ["-E", _slurm_time(until + timedelta(seconds=1))]  # sacct's end is exclusive
        if not job_ids:
            yield from self._records(window)
            return
        ids = [str(job_id) for job_id in job_ids]
        for begin in range(0, len(ids), _IDS_A_CALL):
            yield from self._records([*window, "-j", ",".join(ids[begin : begin + _IDS_A_CALL])])

    def purge_horizon(self) -> datetime | None:
        return parse.purge_horizon(self.programs.read("sacctmgr", "-n", "show", "config"), now())

    def _records(self, arguments: Sequence[str]) -> Iterator[AccountingRecord]:
        cut = separator()
        # -D keeps the run before a requeue, which Slurm charged; -X leaves steps out; -p ends every field with the cut.
        options = ["-X", "-D", "-p", "-n", "-a", "-M", self.cluster, f"--delimiter={cut}"]
        stream = self.programs.stream("sacct", *options, "-o", ",".join(parse.SACCT_FIELDS), *arguments)
        read_at = now()
        with closing(stream):  # type: ignore[type-var]
            for fields in parse.records_split(stream, cut, len(parse.SACCT_FIELDS)):
                yield parse.accounting_record(fields, read_at=read_at)

    def usage(self, *, job_ids: Sequence[int]) -> list[RunUsage]:
        cut = separator()
        ids = ",".join(str(job_id) for job_id in job_ids)
        options = ["-D", "-p", "-n", "-a", "-M", self.cluster, f"--delimiter={cut}", "-S", _BEGINNING, "-j", ids]
        answer = self.programs.read("sacct", *options, "-o", ",".join(parse_usage.FIELDS))
        return parse_usage.usage(parse.records_split([answer], cut, len(parse_usage.FIELDS)))


def _slurm_time(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
