"""A statement's content: figures by GPU type, project, cluster, event day and person, and the vouchers' money.

Names and dates that may change are not among the figures: a verification computes these anew and compares. Amounts are
changes of what the organisation has: a charge is negative, a grant positive, and opening + all movements = closing
holds for every place, on every cluster and in all, or no statement is made (`DoesNotAddUp`). GPU-seconds of one GPU
type each; money is VND.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from quotas.allocations.models import Voucher
from quotas.allocations.services.charges import LEGS, leg_id
from quotas.ledger.models import Account
from quotas.statements.books import Accounts, Booked, Movement, Part, Positions
from quotas.statements.errors import DoesNotAddUp
from quotas.statements.money import VoucherMoney, voucher_money

# In the order of a statement. `moved` is between projects and what no project has; its total is 0.
MOVEMENTS = (
    "awarded",
    "released",
    "moved",
    "charged",
    "refunded",
    "corrected",
    "overrun",
    "expired",
    "clawed_back",
    "returned",
    "other",
)
MONEY_MOVEMENTS = ("released_state", "released_own", "returned_state", "returned_own", "earned", "other")
_BALANCE = ("opening", *MOVEMENTS, "closing")
_SUMMED = ("charged", "overrun", "moved")  # by event day; every other line keeps its reason

Content = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    kind: str
    gpu_type: str
    project: str | None
    event_on: str
    reason: str
    count: int
    gpu_seconds: int


def figures_of(accounts: Accounts, positions: Positions, booked: Booked) -> Content:
    """The computed part of a statement (everything that a verification computes anew), without a query. Raises
    DoesNotAddUp.
    """
    changes = [(row, *change) for row in booked.own for change in _changes(accounts, row, booked.refunds)]
    lines = _lines(changes)
    people = _people(accounts, booked)
    compute = [
        _of_type(gpu_type, accounts, positions, [line for line in lines if line.gpu_type == gpu_type], people)
        for gpu_type in sorted({voucher.gpu_type for voucher in accounts.vouchers})
    ]
    vouchers = [_of_voucher(voucher, accounts, positions) for voucher in accounts.vouchers]
    moneys = {
        money.money_account: row["money"]
        for voucher, row in zip(accounts.vouchers, vouchers, strict=True)
        if (money := voucher_money(voucher))
    }
    _money_movements(moneys, booked.money)
    return {
        "compute": [part for part in compute if not _is_empty(part)],
        "clusters": _by_cluster(accounts, positions, changes),
        "vouchers": [row for row in vouchers if not _is_over(row)],
        "money": _money_total(moneys.values()),
    }


def is_empty(figures: Content) -> bool:
    """Nothing was there and nothing happened: no statement is due."""
    return not figures["compute"] and not figures["vouchers"]


def summary_of(content: Content) -> Content:
    """The totals, for lists."""
    return {"compute": {part["gpu_type"]: part["total"] for part in content["compute"]}, "money": content["money"]}


# --- lines ----------------------------------------------------------------------------------------------------------


def _lines(changes: Iterable[tuple[Movement, str, Part, int]]) -> list[Line]:
    """Every movement as a change of one place, summed where nothing but the amount differs."""
    sums: dict[tuple[str, str, str | None, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for row, kind, part, amount in changes:
        reason = "" if kind in _SUMMED else row.reason
        entry = sums[kind, part.gpu_type, part.project, row.event_on.isoformat(), reason]
        entry[0] += row.count
        entry[1] += amount
    lines = [Line(*key, count=count, gpu_seconds=amount) for key, (count, amount) in sums.items() if amount]
    return sorted(lines, key=lambda line: (line.event_on, MOVEMENTS.index(line.kind), line.project or "", line.reason))


def _changes(accounts: Accounts, row: Movement, refunds: set[UUID]) -> list[tuple[str, Part, int]]:
    """(kind, of what, change) of one movement; two for what stays within the organisation."""
    debit, credit = accounts.parts.get(row.debit_id), accounts.parts.get(row.credit_id)
    if debit is not None and credit is not None and debit.is_own and credit.is_own:
        return [("moved", debit, -row.amount), ("moved", credit, row.amount)]
    kind = _kind(row, refunds)
    if debit is not None and debit.is_own:
        if credit is not None and credit.role == "expired" and credit.project != debit.project:
            # On its way out of a project it passed through the voucher: shown as the project's own, in one step.
            return [("moved", debit, -row.amount), ("moved", credit, row.amount), (kind, credit, -row.amount)]
        return [(kind, debit, -row.amount)]
    assert credit is not None  # it was read because one side is the organisation's
    return [(kind, credit, row.amount)]


def _kind(row: Movement, refunds: set[UUID]) -> str:
    kinds = Account.Kind
    if row.debit_kind == kinds.POOL:
        return "released" if row.kind == "post" else "awarded"
    if row.credit_kind == kinds.POOL:
        return "returned"
    if kinds.OVERRUN in (row.debit_kind, row.credit_kind):
        return "overrun"
    if row.credit_kind == kinds.EXPIRED:
        # Allocations write what kind of leaving it is before the reason.
        words = {"clawback": "clawed_back", "return": "returned"}
        return words.get(row.reason.partition(":")[0], "expired")
    if kinds.CONSUMED in (row.debit_kind, row.credit_kind):
        if row.id is None:
            return "charged"
        if row.id in refunds:
            return "refunded"
        is_leg = row.batch is not None and row.id in {leg_id(row.batch, 0, leg) for leg in LEGS}
        return "charged" if is_leg else "corrected"
    return "other"


# --- compute --------------------------------------------------------------------------------------------------------


def _of_type(
    gpu_type: str,
    accounts: Accounts,
    positions: Positions,
    lines: list[Line],
    people: Mapping[tuple[str, str, str], int],
) -> Content:
    places: dict[str | None, dict[str, int]] = {}
    held = 0
    for pk in accounts.own:
        part = accounts.parts[pk]
        if part.gpu_type == gpu_type:
            row = places.setdefault(part.project, dict.fromkeys(_BALANCE, 0))
            row["opening"] += positions.opening[pk]
            row["closing"] += positions.closing[pk]
            held += positions.held[pk]
    for line in lines:
        places[line.project][line.kind] += line.gpu_seconds
    total = {name: sum(row[name] for row in places.values()) for name in _BALANCE}
    for where, row in [*places.items(), ("in all", total)]:
        _check_balance(f"{gpu_type}, {where}", row)
    if total["moved"]:
        raise DoesNotAddUp(f"{gpu_type}: {total['moved']} moved to nowhere")
    return {
        "gpu_type": gpu_type,
        "total": total,
        "held_at_end": held,
        "places": [
            {"project": slug, **places[slug]}
            for slug in sorted(places, key=lambda slug: (slug is not None, slug or ""))
            if any(places[slug].values())
        ],
        "lines": [
            {
                "kind": line.kind,
                "project": line.project,
                "event_on": line.event_on,
                "reason": line.reason,
                "count": line.count,
                "gpu_seconds": line.gpu_seconds,
            }
            for line in lines
        ],
        "people": _people_of_type(gpu_type, places, people),
    }


def _check_balance(where: str, row: Mapping[str, int]) -> None:
    if row["opening"] + sum(row[name] for name in MOVEMENTS) != row["closing"]:
        raise DoesNotAddUp(f"{where}: {dict(row)}")


def _by_cluster(
    accounts: Accounts, positions: Positions, changes: Iterable[tuple[Movement, str, Part, int]]
) -> list[Content]:
    """Where the GPU-seconds were: by GPU type, cluster and project. What no project has yet is on no cluster."""
    rows: dict[tuple[str, str, str], dict[str, int]] = {}
    for pk in accounts.own:
        part = accounts.parts[pk]
        row = rows.setdefault(_where(part), dict.fromkeys(_BALANCE, 0))
        row["opening"] += positions.opening[pk]
        row["closing"] += positions.closing[pk]
    for _movement, kind, part, amount in changes:
        rows[_where(part)][kind] += amount
    for where, row in rows.items():
        _check_balance(", ".join(where), row)
    return [
        {"gpu_type": gpu_type, "cluster": cluster or None, "project": project or None, **row}
        for (gpu_type, cluster, project), row in sorted(rows.items())
        if any(row.values())
    ]


def _where(part: Part) -> tuple[str, str, str]:
    return part.gpu_type, part.cluster or "", part.project or ""


def _people(accounts: Accounts, booked: Booked) -> dict[tuple[str, str, str], int]:
    """Net GPU-seconds by (GPU type, project, unix account)."""
    sums: dict[tuple[str, str, str], int] = defaultdict(int)
    for (pk, account), amount in booked.people.items():
        part = accounts.parts[pk]
        assert part.project is not None
        sums[part.gpu_type, part.project, account] += amount
    return sums


def _people_of_type(
    gpu_type: str, places: Mapping[str | None, Mapping[str, int]], people: Mapping[tuple[str, str, str], int]
) -> list[Content]:
    """The annex. What no record of Slurm names anybody for is a row without a name, so that the annex adds up."""
    rows = []
    for project, row in places.items():
        if project is None:
            continue
        used = -(row["charged"] + row["refunded"] + row["corrected"])
        named = {account: n for (of, slug, account), n in people.items() if (of, slug) == (gpu_type, project) and n}
        if used != sum(named.values()):
            named[""] = used - sum(named.values())
        rows += [{"project": project, "account": account, "gpu_seconds": n} for account, n in named.items()]
    return sorted(rows, key=lambda row: (row["project"], -row["gpu_seconds"], row["account"]))


def _is_empty(part: Content) -> bool:
    return not any(part["total"].values()) and not part["lines"]


# --- vouchers and their money ---------------------------------------------------------------------------------------


def used_gpu_seconds(accounts: Accounts, voucher_id: int, balances: Mapping[int, int]) -> int:
    """What was consumed from a voucher, net of refunds, and of the overrun that the centre bears."""
    return sum(
        balances[pk]
        for pk, part in accounts.parts.items()
        if part.voucher_id == voucher_id and part.role in ("consumed", "overrun")
    )


def _of_voucher(voucher: Voucher, accounts: Accounts, positions: Positions) -> Content:
    own = [pk for pk in accounts.own if accounts.parts[pk].voucher_id == voucher.pk]
    used_before = used_gpu_seconds(accounts, voucher.pk, positions.opening)
    used = used_gpu_seconds(accounts, voucher.pk, positions.closing)
    money = voucher_money(voucher)
    return {
        "number": voucher.number,
        "gpu_type": voucher.gpu_type,
        "opening": sum(positions.opening[pk] for pk in own),
        "used_before": used_before,
        "used": used - used_before,
        "closing": sum(positions.closing[pk] for pk in own),
        "money": None if money is None else _voucher_money(money, positions),
    }


def _voucher_money(money: VoucherMoney, positions: Positions) -> Content:
    before = positions.opening[money.earned_account]
    through = positions.closing[money.earned_account]
    earned_state = money.state_part_vnd(through) - money.state_part_vnd(before)
    return {
        "tariff_vnd_per_gpu_hour": money.price.tariff_vnd_per_gpu_hour,
        "state_basis_points": money.price.state_basis_points,
        "opening": positions.opening[money.money_account],
        **dict.fromkeys(MONEY_MOVEMENTS, 0),
        "closing": positions.closing[money.money_account],
        "earned_state": earned_state,
        "earned_own": through - before - earned_state,
        "earned_to_date": through,
    }


def _money_movements(by_account: Mapping[int, Content], booked: Iterable[Movement]) -> None:
    """Fills in what moved each voucher's money (by its account), and checks that it adds up."""
    for row in booked:
        inward = row.credit_id in by_account
        money = by_account[row.credit_id if inward else row.debit_id]
        money[_money_kind(row, inward)] += row.amount if inward else -row.amount
    for money in by_account.values():
        if money["opening"] + sum(money[name] for name in MONEY_MOVEMENTS) != money["closing"]:
            raise DoesNotAddUp(f"money: {money}")
        if -money["earned"] != money["earned_state"] + money["earned_own"]:
            raise DoesNotAddUp(f"earned: {money}")


def _money_kind(row: Movement, inward: bool) -> str:
    other = row.debit_kind if inward else row.credit_kind
    way = "released" if inward else "returned"
    names = {
        Account.Kind.BUDGET: f"{way}_state",
        Account.Kind.CONTRIBUTION: f"{way}_own",
        Account.Kind.EARNED: "earned",
    }
    return names.get(Account.Kind(other), "other")


def _money_total(moneys: Collection[Content]) -> Content | None:
    names = ("opening", *MONEY_MOVEMENTS, "closing", "earned_state", "earned_own", "earned_to_date")
    return {name: sum(money[name] for money in moneys) for name in names} if moneys else None


def _is_over(row: Content) -> bool:
    """Nothing there, nothing used: a voucher of long ago."""
    money = row["money"]
    idle = money is None or not any(money[name] for name in ("opening", *MONEY_MOVEMENTS, "closing"))
    return idle and not (row["opening"] or row["used"] or row["closing"])
