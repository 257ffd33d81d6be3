"""What holds after every step of the year, each checked against the log of transfers or slurmctld's own words."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection

from portal.clock import centre_date, now
from portal.people.models import Organisation
from quotas.allocations.models import Allocation, Voucher
from quotas.ledger.models import Transfer
from quotas.ledger.verification import ledger_findings
from quotas.money import shares_split, vnd_of
from quotas.statements.models import Statement
from quotas.statements.months import Month
from quotas.statements.services import statements_verify
from tests.quotas.allocations.oracle import limits_by_the_log
from tests.scheduler.live import LiveSlurm


@dataclass(frozen=True)
class InSlurm:
    """A QOS as slurmctld holds it; None where it has no such limit."""

    minutes: int | None
    minutes_of_type: int | None
    jobs: int | None
    submit_jobs: int | None
    usage_raw: int


def in_slurm(slurm: LiveSlurm, qos: Iterable[str]) -> dict[str, InSlurm]:
    text = slurm.admin("scontrol", "show", "assoc_mgr", "flags=qos", f"qos={','.join(qos)}")
    found = {}
    for block in re.split(r"^QOS=", text, flags=re.MULTILINE)[1:]:
        name = block.split("(", 1)[0]
        trees = dict(re.findall(r"(gres/gpu(?::\w+)?)=(N|\d+)\(", re.search(r"GrpTRESMins=(\S*)", block)[1]))  # type: ignore[index]
        known = {key: _number(value) for key, value in re.findall(r"\b(GrpJobs|GrpSubmitJobs)=(N|\d+)", block)}
        typed = [_number(value) for key, value in trees.items() if key == f"gres/gpu:{name.split('-')[0]}"]
        found[name] = InSlurm(
            minutes=_number(trees.get("gres/gpu", "N")),
            minutes_of_type=typed[0] if typed else None,
            jobs=known["GrpJobs"],
            submit_jobs=known["GrpSubmitJobs"],
            usage_raw=int(float(re.search(r"UsageRaw=([\d.]+)", block)[1])),  # type: ignore[index]
        )
    return found


def _number(text: str) -> int | None:
    return None if text == "N" else int(text)


def limits_are_the_allocations(slurm: LiveSlurm) -> int:
    """Every allocation's QOS allows what the log says, less what ran by the records and slurmctld never counted; it is
    shut unless the allocation is open today. Returns how many were compared."""
    rows = list(Allocation.objects.all())
    if not rows:
        return 0
    wanted, found = limits_by_the_log(), in_slurm(slurm, [row.qos for row in rows])
    today = centre_date(now())
    for row in rows:
        one, has = wanted[row.qos], found[row.qos]
        lost = max(0, one.charged - has.usage_raw)
        minutes = max(0, (one.allowed - lost) // 60)
        assert (has.minutes, has.minutes_of_type) == (minutes, minutes), (row.pk, row.project.slug, one, has)
        shut = None if row.state == "active" and row.starts_on <= today <= row.ends_on else 0
        assert (has.jobs, has.submit_jobs) == (shut, shut), (row.pk, row.state, row.starts_on, row.ends_on, has)
    return len(rows)


def ledger_adds_up() -> None:
    connection.check_constraints()  # what the database checks at a commit, which a test never reaches
    findings = ledger_findings(at=now())
    assert findings.ok, findings
    for voucher in Voucher.objects.filter(face_vnd__isnull=False).prefetch_related("tranches"):
        assert voucher.face_vnd == (voucher.state_share_vnd or 0) + (voucher.own_share_vnd or 0)
        tariff, share = voucher.tariff_vnd_per_gpu_hour or 0, voucher.state_basis_points or 0
        assert (voucher.state_share_vnd, voucher.own_share_vnd) == shares_split(
            vnd_of(voucher.face_gpu_seconds, tariff), share
        )


# --- months -----------------------------------------------------------------------------------------------------------


def statements_are_the_ledger(month: Month) -> int:
    """The month's statements are what the ledger says, and close with what the log adds up to; returns how many. At the
    turn of a year so are all that were ever issued."""
    verified = statements_verify(month="" if month.first.month in (3, 12) else str(month))
    assert verified.ok, verified.differences
    balances = _balances_before(month)
    rows = list(Statement.objects.filter(period__month=month.first).select_related("organisation"))
    for statement in rows:
        compute = {gpu_type: row["closing"] for gpu_type, row in statement.summary["compute"].items() if row["closing"]}
        money = (statement.summary["money"] or {}).get("closing", 0)
        assert (compute, money) == _of_organisation(statement.organisation, balances), statement.number
        previous = Statement.objects.filter(
            organisation=statement.organisation, period__month=month.previous.first
        ).first()
        for gpu_type, row in statement.summary["compute"].items():
            before = previous.summary["compute"].get(gpu_type, {"closing": 0}) if previous else {"closing": 0}
            assert row["opening"] == before["closing"], statement.number
            assert row["other"] == 0, statement.number
    return len(rows)


def _balances_before(month: Month) -> dict[int, int]:
    """By account, from every transfer that was booked until the month's end."""
    balances: dict[int, int] = defaultdict(int)
    moved = Transfer.objects.filter(booked_at__lt=month.ends_at, kind__in=["direct", "post"]).order_by()
    for debit, credit, amount in moved.values_list("debit", "credit", "amount"):
        balances[debit] -= amount
        balances[credit] += amount
    return balances


def _of_organisation(organisation: Organisation, balances: dict[int, int]) -> tuple[dict[str, int], int]:
    compute: dict[str, int] = defaultdict(int)
    money = 0
    for voucher in Voucher.objects.filter(organisation=organisation).prefetch_related("allocations"):
        money += balances[voucher.money_account_id or 0]
        for account in (voucher.account_id, *(row.account_id for row in voucher.allocations.all())):
            compute[voucher.gpu_type] += balances[account]
    return {gpu_type: amount for gpu_type, amount in compute.items() if amount}, money
