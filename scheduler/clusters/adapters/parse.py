"""What Slurm's commands print, read into plain values. Pure: text in, values out; tested on recorded output.

Text that people choose (job names, comments) may hold any character, newlines included. So squeue and sacct are given a
separator that nobody can guess, one per call, and a record ends after its last field's separator, not at a line end.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from scheduler.clusters.adapters.array_tasks import array_task_count
from scheduler.clusters.adapters.protocol import (
    AccountInfo,
    AccountingRecord,
    AssociationInfo,
    ClusterError,
    ControllerStatus,
    NodeInfo,
    PartitionInfo,
    QueueJob,
    TreeNode,
)

UNTYPED_GPU = "gpu"
# slurmctld sends slurmdbd a job's QOS and eligible time with a second message. Measured: up to 3.6 s after the record
# of a short job shows its end. Where slurmctld was killed in between it never comes.
QOS_KNOWN_AFTER_S = 300
_NOTHING = {"", "Unknown", "None", "N/A", "NONE", "(null)"}
_UNLIMITED = {"UNLIMITED", "INFINITE", "NOT_SET", "INVALID", "Partition_Limit"}
_ZONES = timedelta(days=1)  # by as much two time zones may differ
_MULTIPLES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}

SQUEUE_FIELDS = (
    "JobID", "ArrayJobID", "ArrayTaskID", "HetJobID", "UserName", "Account", "QOS", "Partition", "State", "Reason",
    "Comment", "Name", "SubmitTime", "EligibleTime", "StartTime", "TimeLimit", "NumNodes", "tres-alloc", "RestartCnt",
)  # fmt: skip
SACCT_FIELDS = (
    "jobidraw", "jobid", "account", "user", "qos", "partition", "state", "submit", "start", "end", "elapsedraw",
    "alloctres", "nnodes", "exitcode", "comment", "jobname",
)  # fmt: skip
ACCOUNT_FIELDS = ("account", "org", "descr")
ASSOCIATION_FIELDS = (
    "account", "user", "partition", "parentname", "qos", "defaultqos", "maxjobs", "maxsubmitjobs",
)  # fmt: skip
TREE_FIELDS = ("account", "user", "partition", "parentname", "lft", "rgt")


# ---- single values


def moment(text: str) -> datetime | None:
    """A time as Slurm prints it under TZ=UTC; None for Unknown and its kin."""
    if text in _NOTHING:
        return None
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)


def required_moment(text: str) -> datetime:
    return required(moment(text))


def required(when: datetime | None) -> datetime:
    if when is None:
        raise ClusterError("Slurm gives no time where there must be one")
    return when


def duration_s(text: str) -> int | None:
    """Seconds of [days-]hours:minutes:seconds or minutes:seconds; None where there is no limit."""
    if text in _NOTHING or text in _UNLIMITED:
        return None
    days, _, clock = text.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    if days:  # with days the clock is read from its left end: D-HH, D-HH:MM, D-HH:MM:SS
        parts += [0] * (3 - len(parts))
    seconds = 0
    for part in parts:
        seconds = seconds * 60 + part
    return int(days or 0) * 86_400 + seconds


def number(text: str) -> int | None:
    """A count, or None where nothing is set."""
    return None if text in _NOTHING or text in _UNLIMITED else int(text)


def tres(text: str) -> dict[str, str]:
    """ "cpu=16,gres/gpu:h100=2" as a mapping."""
    return dict(item.split("=", 1) for item in text.split(",") if "=" in item)


def gpus(text: str) -> dict[str, int]:
    """GPUs of a TRES line by type, lower case. Typed and untyped counts name the same GPUs: they are never added.

    Only what an untyped count has beyond the typed ones (a type that slurm.conf does not track) is kept, under "gpu".
    """
    typed: dict[str, int] = {}
    untyped = 0
    for name, value in tres(text).items():
        if name == "gres/gpu":
            untyped = count(value)
        elif name.startswith("gres/gpu:"):
            kind = name.removeprefix("gres/gpu:").lower()
            typed[kind] = typed.get(kind, 0) + count(value)
    found = {kind: count for kind, count in typed.items() if count}
    rest = untyped - sum(typed.values())
    return {**found, UNTYPED_GPU: rest} if rest > 0 else found


def gres(text: str) -> dict[str, int]:
    """GPUs of a node's Gres= by type: "gpu:h100:8(S:0-1)", "gpu:8"."""
    found: dict[str, int] = {}
    for item in re.sub(r"\([^)]*\)", "", text).split(","):
        parts = item.split(":")
        if parts[0] == "gpu" and len(parts) > 1:
            kind = parts[1].lower() if len(parts) > 2 else UNTYPED_GPU
            found[kind] = found.get(kind, 0) + count(parts[-1])
    return found


def count(text: str) -> int:
    found = re.fullmatch(r"(\d+)([KMG]?)", text)
    if not found:
        raise ClusterError(f"Slurm gives no count where there must be one: {text!r}")
    return int(found[1]) * _MULTIPLES[found[2]]


def state(text: str) -> str:
    """A state without its suffix: "CANCELLED by 0" is CANCELLED, "RUNNING+" is RUNNING."""
    return text.split(" ")[0].rstrip("+")


# ---- records


def records_split(chunks: Iterable[str], separator: str, width: int) -> Iterator[list[str]]:
    """Records of `width` fields, each field followed by the separator, each record by a newline. Reads as it comes."""
    fields: list[str] = []
    rest = ""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(separator)
        for text in whole:
            fields.append(text.removeprefix("\n") if not fields else text)
            if len(fields) == width:
                yield fields
                fields = []
    if fields or rest.strip():
        raise ClusterError(f"Slurm's answer ends in the middle of a record of {width} fields: {rest[:80]!r}")


def queue_job(fields: Sequence[str]) -> QueueJob:
    row = dict(zip(SQUEUE_FIELDS, fields, strict=True))
    tasks = given(row["ArrayTaskID"])
    return QueueJob(
        job_id=int(row["JobID"]),
        array_job_id=int(row["ArrayJobID"]) if tasks else None,
        array_tasks=tasks,
        array_task_count=array_task_count(tasks),
        het_job_id=None if row["HetJobID"] in _NOTHING or row["HetJobID"] == "0" else int(row["HetJobID"]),
        user=row["UserName"],
        account=given(row["Account"]),
        qos=given(row["QOS"]),
        partition=row["Partition"],
        state=state(row["State"]),
        reason=given(row["Reason"]),
        comment=given(row["Comment"]),
        name=given(row["Name"]),
        submit_at=required_moment(row["SubmitTime"]),
        eligible_at=moment(row["EligibleTime"]),
        start_at=moment(row["StartTime"]),
        time_limit_s=duration_s(row["TimeLimit"]),
        nodes=int(row["NumNodes"].split("-")[0]),
        gpus=gpus(row["tres-alloc"]),
        restarts=int(row["RestartCnt"]),
    )


def accounting_record(fields: Sequence[str], *, read_at: datetime) -> AccountingRecord:
    """`read_at` decides how long a missing QOS is waited for (QOS_KNOWN_AFTER_S)."""
    row = dict(zip(SACCT_FIELDS, fields, strict=True))
    end_at = moment(row["end"])
    return AccountingRecord(
        job_id_raw=int(row["jobidraw"]),
        job_id=row["jobid"],
        account=row["account"],
        user=row["user"],
        qos=_known_qos(row["qos"]),
        partition=row["partition"],
        state=state(row["state"]),
        submit_at=required_moment(row["submit"]),
        start_at=moment(row["start"]),
        end_at=end_at,
        elapsed_s=int(row["elapsedraw"] or 0),
        gpus=gpus(row["alloctres"]),
        nodes=int(row["nnodes"] or 0),
        exit_code=row["exitcode"],
        comment=row["comment"],
        name=row["jobname"],
        is_qos_pending=not _known_qos(row["qos"])
        and (end_at is None or (read_at - end_at).total_seconds() < QOS_KNOWN_AFTER_S),
    )


def _known_qos(name: str) -> str:
    return "" if name == "Unknown" else name


def given(value: str) -> str:
    """Nothing where Slurm prints a word for it."""
    return "" if value in {"N/A", "(null)"} else value


# ---- scontrol: "Key=value Key=value", one line an object


_KEY = re.compile(r"(?:^| )([A-Za-z][A-Za-z0-9_/:-]*)=")


def keyed(line: str) -> dict[str, str]:
    """The first value of every key. A value ends at the next key; a reason, which people write, at the line's end."""
    line, _, reason = line.partition(" Reason=")
    found = {"Reason": reason.strip()} if reason else {}
    keys = list(_KEY.finditer(line))
    for key, following in zip(keys, [*keys[1:], None], strict=True):
        end = following.start() if following else len(line)
        found.setdefault(key[1], line[key.end() : end].strip())
    return found


def nodes(text: str) -> list[NodeInfo]:
    rows = (keyed(line) for line in text.splitlines() if line.startswith("NodeName="))
    return [
        NodeInfo(
            name=row["NodeName"],
            state=row.get("State", ""),
            reason=row.get("Reason", ""),
            partitions=tuple(filter(None, row.get("Partitions", "").split(","))),
            gpus=gres(given(row.get("Gres", ""))),
            gpus_allocated=gpus(row.get("AllocTRES", "")),
            cpus=int(row.get("CPUEfctv") or row.get("CPUTot") or 0),
        )
        for row in rows
    ]


def partitions(text: str, all_nodes: Sequence[NodeInfo]) -> list[PartitionInfo]:
    return [
        partition_info(
            name=row["PartitionName"],
            is_up=row.get("State") == "UP",
            max_time_s=duration_s(row.get("MaxTime", "")) or 0,
            default_time_s=duration_s(row.get("DefaultTime", "")) or 0,
            beside_gpu=_beside_gpu(row.get("JobDefaults", "")),
            all_nodes=all_nodes,
        )
        for row in (keyed(line) for line in text.splitlines() if line.startswith("PartitionName="))
    ]


def partition_info(
    *,
    name: str,
    is_up: bool,
    max_time_s: int,
    default_time_s: int,
    all_nodes: Sequence[NodeInfo],
    beside_gpu: Mapping[str, int] | None = None,
) -> PartitionInfo:
    """A partition's GPU type is that of its nodes. One with several types has none: no allocation is bound to it."""
    members = [node for node in all_nodes if name in node.partitions]
    types = {kind for node in members for kind in node.gpus}
    gpu_type = types.pop() if len(types) == 1 else ""
    return PartitionInfo(
        name=name,
        is_up=is_up,
        gpu_type="" if gpu_type == UNTYPED_GPU else gpu_type,
        nodes=len(members),
        gpus_per_node=max((sum(node.gpus.values()) for node in members), default=0),
        max_time_s=max_time_s,
        default_time_s=default_time_s,
        cpus_per_node=min((node.cpus for node in members), default=0),
        **(beside_gpu or {}),
    )


def _beside_gpu(defaults: str) -> dict[str, int]:
    """JobDefaults=DefCpuPerGPU=8,DefMemPerGPU=120000"""
    said = {name.lower(): value for name, value in tres(defaults).items()}
    return {
        "cpus_per_gpu": int(said.get("defcpupergpu", "0")),
        "memory_mb_per_gpu": int(said.get("defmempergpu", "0")),
    }


def controller_status(config: str, sdiag: str, answered_at: datetime) -> ControllerStatus:
    lines = dict(re.findall(r"^(\w+) *= (.*?) *$", config, re.MULTILINE))
    queue = re.search(r"^DBD Agent queue size: *(\d+)", sdiag, re.MULTILINE)
    if not queue or "BOOT_TIME" not in lines:
        raise ClusterError("slurmctld answers, but not in the form we know: no BOOT_TIME or DBD Agent queue size")
    clock = re.search(r"^sdiag output at .*\((\d+)\)", sdiag, re.MULTILINE)
    message_timeout = re.match(r"\d+", lines.get("MessageTimeout", ""))
    return ControllerStatus(
        booted_at=required_moment(lines["BOOT_TIME"]),
        dbd_queue=int(queue[1]),
        answered_at=answered_at,
        priority_calc_period_s=duration_s(lines.get("PriorityCalcPeriod", "")) or 300,
        message_timeout_s=int(message_timeout[0]) if message_timeout else 10,
        clock_at=datetime.fromtimestamp(int(clock[1]), tz=UTC) if clock else None,
    )


# ---- sacctmgr


def rows(text: str, width: int) -> Iterator[list[str]]:
    """Lines of a parsable listing. One with more fields has our separator in an administrator's words: not ours."""
    for line in text.splitlines():
        fields = line.split("|")
        if len(fields) == width:
            yield fields


def accounts(account_text: str, association_text: str) -> list[AccountInfo]:
    """Accounts with a place in this cluster's tree, which their associations show."""
    about = {row[0]: row for row in rows(account_text, len(ACCOUNT_FIELDS))}
    found = []
    for account, user, _partition, parent, *_ in rows(association_text, len(ASSOCIATION_FIELDS)):
        if not user and account != "root":
            _, organisation, description = about.get(account, (account, "", ""))
            found.append(AccountInfo(account, parent, organisation, description))
    return found


def associations(text: str) -> list[AssociationInfo]:
    """Those of users; an account's own show its place in the tree (see `accounts`)."""
    return [
        AssociationInfo(
            account=account,
            user=user,
            partition=partition,
            qos=tuple(sorted(filter(None, qos.split(",")))),
            default_qos=default_qos,
            max_jobs=number(max_jobs),
            max_submit_jobs=number(max_submit_jobs),
        )
        for account, user, partition, _parent, qos, default_qos, max_jobs, max_submit_jobs in rows(
            text, len(ASSOCIATION_FIELDS)
        )
        if user
    ]


def tree(text: str) -> list[TreeNode]:
    """A user's parent is the account; sacctmgr names one for accounts only."""
    return [
        TreeNode(account, user, partition, account if user else parent, int(left), int(right))
        for account, user, partition, parent, left, right in rows(text, len(TREE_FIELDS))
    ]


def purge_horizon(config: str, moment: datetime) -> datetime | None:
    """From `sacctmgr show config`: "PurgeJobAfter = 12 months*" (the star: archived first), "NONE" for no purge.

    slurmdbd rounds down to the beginning of an hour, a day or a month in its own time zone: this is never earlier.
    """
    found = re.search(r"^PurgeJobAfter *= *(\S+)(?: +(\w+))?", config, re.MULTILINE)
    if not found:
        raise ClusterError("slurmdbd shows its configuration, but not in the form we know: no PurgeJobAfter")
    if not found[1].isdigit():
        return None
    amount, unit = int(found[1]), (found[2] or "").rstrip("s")
    if unit == "month":
        year, month = divmod(moment.year * 12 + moment.month - 1 - amount, 12)
        return datetime(year, month + 1, 1, tzinfo=UTC) + _ZONES
    if unit not in {"day", "hour"}:
        raise ClusterError(f"slurmdbd purges after a time that we do not know: {found[0]!r}")
    return moment - amount * timedelta(**{f"{unit}s": 1}) + (_ZONES if unit == "day" else timedelta())
