"""QOS limits and reservations as Slurm 22.05 prints them."""

from datetime import UTC, datetime

import pytest

from scheduler.clusters.adapters import parse_limits
from scheduler.clusters.adapters.protocol import NodeInfo

RESERVATION = (
    "ReservationName=tdx StartTime=2026-11-22T09:00:00 EndTime=2026-11-22T11:00:00 Duration=02:00:00 "
    "Nodes=gpu[002-003] NodeCnt=2 CoreCnt=128 Features=(null) PartitionName=h100 Flags=SPEC_NODES TRES=cpu=128 "
    "Users=(null) Groups=(null) Accounts=sl-nlp,sl-asr Licenses=(null) State=ACTIVE BurstBuffer=(null) Watts=n/a "
    "MaxStartDelay=(null)\n"
    "ReservationName=upkeep StartTime=2026-11-23T00:00:00 EndTime=2026-11-23T04:00:00 Duration=04:00:00 Nodes=gpu001 "
    "NodeCnt=1 CoreCnt=64 Features=(null) PartitionName=(null) Flags=MAINT,IGNORE_JOBS,SPEC_NODES TRES=cpu=64 "
    "Users=root Groups=(null) Accounts=(null) Licenses=(null) State=INACTIVE BurstBuffer=(null) Watts=n/a "
    "MaxStartDelay=(null)\n"
)


def node(name: str) -> NodeInfo:
    return NodeInfo(name, "IDLE", "", ("h100",), {"h100": 8}, {})


def test_reservations() -> None:
    tdx, upkeep = parse_limits.reservations(RESERVATION, [node("gpu001"), node("gpu002"), node("gpu003")])
    assert (tdx.name, tdx.partition, tdx.nodes, tdx.gpus) == ("tdx", "h100", 2, 16)
    assert (tdx.accounts, tdx.users, tdx.is_maintenance) == (("sl-nlp", "sl-asr"), (), False)
    assert tdx.ends_at == datetime(2026, 11, 22, 11, tzinfo=UTC)
    assert (upkeep.partition, upkeep.users, upkeep.is_maintenance, upkeep.gpus) == ("", ("root",), True, 8)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("gpu001", ["gpu001"]),
        ("gpu[001-003,007],mig001", ["gpu001", "gpu002", "gpu003", "gpu007", "mig001"]),
        ("a[9-11]x,b", ["a9x", "a10x", "a11x", "b"]),
        ("", []),
    ],
)
def test_host_lists(text: str, names: list[str]) -> None:
    assert parse_limits.hosts(text) == names


def test_limits_of_a_qos() -> None:
    cpu, plain = parse_limits.qos(
        "sl-cpu|DenyOnLimit,NoDecay|gres/gpu=0||||gres/gpu=0|cpu=16,mem=64G|12:00:00|4|20\nnormal||||||||||\n"
    )
    assert (cpu.max_tres_per_job, cpu.max_tres_per_user) == ({"gres/gpu": 0}, {"cpu": 16, "mem": 65_536})
    assert (cpu.max_wall_minutes, cpu.max_jobs_per_user, cpu.max_submit_per_user) == (720, 4, 20)
    assert (plain.max_tres_per_user, plain.max_wall_minutes, plain.max_jobs_per_user) == ({}, None, None)
