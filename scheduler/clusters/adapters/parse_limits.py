"""What Slurm's commands print of QOS and reservations. Pure, as parse.py beside it."""

import re
from collections.abc import Sequence

from scheduler.clusters.adapters import parse
from scheduler.clusters.adapters.limits import QosInfo, QosUsage, ReservationInfo
from scheduler.clusters.adapters.protocol import ClusterError, NodeInfo

QOS_FIELDS = (
    "name", "flags", "grptresmins", "mintresperjob", "grpjobs", "grpsubmitjobs", "maxtresperjob", "maxtresperuser",
    "maxwall", "maxjobsperuser", "maxsubmitjobsperuser",
)  # fmt: skip


def qos(text: str) -> list[QosInfo]:
    return [
        QosInfo(
            name=row["name"],
            flags=frozenset(filter(None, row["flags"].split(","))),
            grp_tres_mins=_limits(row["grptresmins"]),
            min_tres_per_job=_limits(row["mintresperjob"]),
            grp_jobs=parse.number(row["grpjobs"]),
            grp_submit_jobs=parse.number(row["grpsubmitjobs"]),
            max_tres_per_job=_limits(row["maxtresperjob"]),
            max_tres_per_user=_limits(row["maxtresperuser"]),
            max_wall_minutes=_minutes(row["maxwall"]),
            max_jobs_per_user=parse.number(row["maxjobsperuser"]),
            max_submit_per_user=parse.number(row["maxsubmitjobsperuser"]),
        )
        for row in (dict(zip(QOS_FIELDS, fields, strict=True)) for fields in parse.rows(text, len(QOS_FIELDS)))
    ]


def _limits(text: str) -> dict[str, int]:
    """Of counts; an administrator's limit of memory ("mem=64G") is in MiB."""
    return {
        key: parse.count(value) if value[-1:].isdigit() else _memory_mb(value)
        for key, value in parse.tres(text).items()
    }


def _memory_mb(text: str) -> int:
    return parse.count(text[:-1]) * {"M": 1, "G": 1024, "T": 1024**2}.get(text[-1], 1)


def _minutes(text: str) -> int | None:
    seconds = parse.duration_s(text)
    return None if seconds is None else seconds // 60


def reservations(text: str, all_nodes: Sequence[NodeInfo]) -> list[ReservationInfo]:
    """From `scontrol -o show reservation`. Its nodes' GPUs count where it has whole nodes (TRES names CPUs only)."""
    found = []
    for row in (parse.keyed(line) for line in text.splitlines() if line.startswith("ReservationName=")):
        names = set(hosts(parse.given(row.get("Nodes", ""))))
        asked = parse.gpus(parse.given(row.get("TRES", "")))
        found.append(
            ReservationInfo(
                name=row["ReservationName"],
                partition=parse.given(row.get("PartitionName", "")),
                starts_at=parse.required_moment(row["StartTime"]),
                ends_at=parse.required_moment(row["EndTime"]),
                nodes=int(row.get("NodeCnt", "0") or 0),
                gpus=sum(asked.values()) or sum(sum(node.gpus.values()) for node in all_nodes if node.name in names),
                accounts=tuple(filter(None, parse.given(row.get("Accounts", "")).split(","))),
                users=tuple(filter(None, parse.given(row.get("Users", "")).split(","))),
                is_maintenance="MAINT" in row.get("Flags", "").split(","),
            )
        )
    return found


def hosts(text: str) -> list[str]:
    """Names of a host list with at most one bracket a name: "gpu[001-003,007],mig001"."""
    found: list[str] = []
    for item in re.findall(r"[^,\[]+(?:\[[^\]]*\])?[^,\[]*", text):
        match = re.fullmatch(r"([^\[]*)\[([^\]]*)\](.*)", item)
        if not match:
            found.append(item)
            continue
        for part in match[2].split(","):
            first, _, last = part.partition("-")
            width = len(first)
            found += [f"{match[1]}{n:0{width}}{match[3]}" for n in range(int(first), int(last or first) + 1)]
    return found


def qos_usage(text: str) -> dict[str, QosUsage]:
    """slurmctld's counters from `scontrol show assoc_mgr flags=qos`: UsageRaw is billing seconds, GPU-seconds here."""
    found = {}
    for block in re.split(r"^QOS=", text, flags=re.MULTILINE)[1:]:
        name = block.split("(", 1)[0]
        raw = re.search(r"^ *UsageRaw=([\d.]+)", block, re.MULTILINE)
        minutes = re.search(r"^ *GrpTRESMins=(?:.*,)?gres/gpu=(N|\d+)\((\d+)\)", block, re.MULTILINE)
        running = re.search(r"^ *GrpTRESRunMins=(?:.*,)?gres/gpu=(?:N|\d+)\((\d+)\)", block, re.MULTILINE)
        if not raw:
            raise ClusterError(f"slurmctld shows no usage for QOS {name}")
        found[name] = QosUsage(
            name=name,
            usage_raw_gpu_seconds=int(float(raw[1])),
            limit_minutes=None if not minutes or minutes[1] == "N" else int(minutes[1]),
            used_minutes=int(minutes[2]) if minutes else 0,
            running_minutes=int(running[1]) if running else 0,
        )
    return found
