"""Random batches against a ledger in plain Python: whatever one accepts or refuses, the other does too."""

import os
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db import connection
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from quotas.ledger import errors
from quotas.ledger.errors import LedgerError
from quotas.ledger.models import Account
from quotas.ledger.selectors import balances
from quotas.ledger.services import Entry, account_create, transfers_book, transfers_import
from quotas.ledger.verification import ledger_findings
from tests.quotas.ledger.making import BOOKED_AT, EVENT_AT, H100, H200

SOAK = "SOAK" in os.environ
FIELDS = ("kind", "debit_id", "credit_id", "amount", "resolves_id", "reason", "event_at", "expires_at")


@dataclass
class Totals:
    unit: str
    may_overdraw: bool
    debits_pending: int = 0
    debits_posted: int = 0
    credits_pending: int = 0
    credits_posted: int = 0

    def numbers(self) -> tuple[int, int, int, int]:
        return (self.debits_pending, self.debits_posted, self.credits_pending, self.credits_posted)


@dataclass
class Model:
    """The ledger in forty lines: what a batch breaks, and what it does if it breaks nothing."""

    accounts: dict[int, Totals] = field(default_factory=dict)
    log: dict[UUID, dict[str, object]] = field(default_factory=dict)
    resolved: set[UUID] = field(default_factory=set)

    def complete(self, entry: Entry) -> dict[str, object]:
        """The entry with its hold's accounts, and a void with its amount."""
        row = {name: getattr(entry, name) for name in FIELDS}
        if entry.resolves_id in self.log:
            hold = self.log[entry.resolves_id]
            row |= {"debit_id": hold["debit_id"], "credit_id": hold["credit_id"]}
            row["amount"] = hold["amount"] if entry.amount is None else entry.amount
        return row

    def book(self, entries: list[Entry]) -> set[type[LedgerError]]:
        """Book the batch, or answer everything that is wrong with it (the database names one of them)."""
        broken: set[type[LedgerError]] = set()
        new: dict[UUID, dict[str, object]] = {}
        resolved: set[UUID] = set()
        moved = {account_id: Totals(**vars(totals)) for account_id, totals in self.accounts.items()}
        for entry in entries:
            if entry.resolves_id is not None and entry.resolves_id not in self.log:
                broken.add(errors.HoldUnknown)
                continue
            row = self.complete(entry)
            stored = self.log.get(entry.id) or new.get(entry.id)
            if stored is not None:
                if stored != row:
                    broken.add(errors.IdempotencyConflict)
                continue
            new[entry.id] = row
            wrong = self.wrong(row, resolved)
            broken |= wrong
            if not wrong:
                self.move(moved, row)
            if entry.resolves_id is not None:
                resolved.add(entry.resolves_id)
        for totals in moved.values():
            if not totals.may_overdraw and totals.debits_pending + totals.debits_posted > totals.credits_posted:
                broken.add(errors.InsufficientBalance)
        if not broken:
            self.accounts, self.resolved = moved, self.resolved | resolved
            self.log |= new
        return broken

    def wrong(self, row: dict, resolved: set[UUID]) -> set[type[LedgerError]]:  # type: ignore[type-arg]
        if row["resolves_id"] is None:
            if row["amount"] <= 0 or row["debit_id"] == row["credit_id"]:
                return {errors.InvalidEntry}
            if self.accounts[row["debit_id"]].unit != self.accounts[row["credit_id"]].unit:
                return {errors.UnitMismatch}
            return set()
        found: set[type[LedgerError]] = set()
        hold = self.log[row["resolves_id"]]
        if hold["kind"] != "hold":
            found.add(errors.HoldUnknown)
        if row["resolves_id"] in self.resolved | resolved:
            found.add(errors.HoldAlreadyResolved)
        if row["amount"] < 0:
            found.add(errors.InvalidEntry)
        if row["amount"] > hold["amount"]:
            found.add(errors.PostAboveHold)
        return found

    def move(self, accounts: dict[int, Totals], row: dict) -> None:  # type: ignore[type-arg]
        debit, credit = accounts[row["debit_id"]], accounts[row["credit_id"]]
        pending = {"hold": row["amount"], "direct": 0}.get(row["kind"])
        if pending is None:
            pending = -int(self.log[row["resolves_id"]]["amount"])  # type: ignore[call-overload]
        posted = row["amount"] if row["kind"] in ("direct", "post") else 0
        debit.debits_pending += pending
        credit.credits_pending += pending
        debit.debits_posted += posted
        credit.credits_posted += posted


def entry_make(data: st.DataObject, model: Model, seen: list[Entry]) -> Entry:
    """One entry: nine times of ten plausible, else a forgery of an earlier one or nonsense."""

    def choose(options: list, nonsense: list | None = None):  # type: ignore[type-arg, no-untyped-def]
        return data.draw(st.sampled_from(nonsense if nonsense and data.draw(st.integers(0, 9)) == 9 else options))

    ids = [entry.id for entry in seen]
    open_holds = [key for key, row in model.log.items() if row["kind"] == "hold" and key not in model.resolved]
    kind = choose(["direct", "hold", "hold", *(["post", "post", "void"] if open_holds else [])], ["post", "void"])
    if ids and data.draw(st.integers(0, 9)) == 9:
        return data.draw(st.sampled_from(seen))
    entry_id = choose([uuid4()], ids)
    amount = choose(list(range(1, 30)), [-1, 0, 10_000])
    resolves = choose(open_holds or [UUID(int=1)], [*ids, UUID(int=1)])
    if kind == "post":
        return Entry.post(id=entry_id, resolves=resolves, amount=amount, reason="ran", event_at=EVENT_AT)
    if kind == "void":
        return Entry.void(id=entry_id, resolves=resolves, reason="never ran", event_at=EVENT_AT)
    everybody = sorted(model.accounts)
    debit = choose([key for key in everybody if model.accounts[key].may_overdraw or free(model, key) > 0], everybody)
    unit = model.accounts[debit].unit
    credit = choose([key for key in everybody if model.accounts[key].unit == unit and key != debit], everybody)
    sides = {"debit": debit, "credit": credit, "amount": amount, "event_at": EVENT_AT}
    if kind == "hold":
        expires_at = choose([None, BOOKED_AT + timedelta(days=1)])
        return Entry.hold(id=entry_id, reason="submitted", expires_at=expires_at, **sides)
    return Entry.direct(id=entry_id, reason="grant", **sides)


def free(model: Model, account_id: int) -> int:
    totals = model.accounts[account_id]
    return totals.credits_posted - totals.debits_posted - totals.debits_pending


class LedgerMachine(RuleBasedStateMachine):
    @initialize()
    def accounts(self) -> None:
        self.model, self.seen = Model(), []
        kind = Account.Kind
        for unit, kind_of, may_overdraw in [
            (H100, kind.SOURCE, True),
            (H100, kind.POOL, False),
            (H100, kind.ALLOCATION, False),
            (H100, kind.CONSUMED, False),
            (H100, kind.OVERRUN, True),
            (H200, kind.SOURCE, True),
            (H200, kind.ALLOCATION, False),
        ]:
            account = account_create(unit=unit, kind=kind_of, owner="machine", may_overdraw=may_overdraw)
            self.model.accounts[account.pk] = Totals(unit, may_overdraw)

    @rule(data=st.data(), size=st.integers(1, 4), bulk=st.booleans())
    def book(self, data: st.DataObject, size: int, bulk: bool) -> None:
        entries: list[Entry] = []
        for _ in range(size):
            entries.append(entry_make(data, self.model, [*self.seen, *entries]))
        expected = self.model.book(entries)
        try:
            if bulk:
                transfers_import(rows=entries, booked_at=BOOKED_AT, actor="machine")
            else:
                booked = transfers_book(entries=entries, booked_at=BOOKED_AT, actor="machine")
                assert [transfer.pk for transfer in booked] == [entry.id for entry in entries]
        except LedgerError as refused:
            if type(refused) not in expected:
                raise
        else:
            assert expected == set()
            self.seen += entries

    @invariant()
    def totals_agree(self) -> None:
        stored = balances(self.model.accounts)
        for account_id, totals in self.model.accounts.items():
            balance = stored[account_id]
            assert totals.numbers() == (
                balance.debits_pending,
                balance.debits_posted,
                balance.credits_pending,
                balance.credits_posted,
            )

    def teardown(self) -> None:
        findings = ledger_findings(at=BOOKED_AT)
        assert findings.ok, findings


@pytest.mark.usefixtures("committed")
def test_the_ledger_agrees_with_a_model_in_plain_python() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")  # what a crash keeps is another test's business
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=2_000 if SOAK else 40,
            stateful_step_count=40 if SOAK else 20,
            deadline=None,
            derandomize=not SOAK,  # the same examples on every run of `make test`, new ones in `make soak`
            suppress_health_check=list(HealthCheck),
        ),
    )
