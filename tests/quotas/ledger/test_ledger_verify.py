"""`manage.py ledger_verify` finds what the triggers prevent: here they are switched off to have something to find."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from prometheus_client import CollectorRegistry, generate_latest

from quotas.ledger.metrics import collect
from quotas.ledger.services import verification_run
from quotas.ledger.verification import Drift, UnbalancedUnit, ledger_findings
from tests.quotas.ledger.making import BOOKED_AT, EVENT_AT, H100, Books, book, direct, hold, post, void


def tamper(statement: str, *params: object) -> None:
    """What only the owner of the tables can do, and only with the guards taken away."""
    guards = "ALTER TABLE ledger_account {0} TRIGGER USER; ALTER TABLE ledger_transfer {0} TRIGGER USER"
    with connection.cursor() as cursor:
        cursor.execute(guards.format("DISABLE"))
        cursor.execute(statement, params)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(guards.format("ENABLE"))


def metrics() -> dict[str, float]:
    registry = CollectorRegistry()

    class Collector:
        collect = staticmethod(collect)

    registry.register(Collector())  # type: ignore[arg-type]
    lines = [line.rsplit(" ", 1) for line in generate_latest(registry).decode().splitlines() if line[0] != "#"]
    return {name: float(value) for name, value in lines}


@pytest.fixture
def busy(books: Books) -> Books:
    kept, posted, voided = book(*(hold(books.allocation, books.consumed, 10) for _ in range(3)))
    book(post(posted.pk, 4), void(voided.pk), direct(books.other_allocation, books.other_consumed, 5))
    assert kept
    return books


def test_a_busy_ledger_adds_up(busy: Books) -> None:
    findings = ledger_findings(at=BOOKED_AT)

    assert findings.ok
    assert (findings.accounts, findings.transfers) == (8, 9)


def test_an_empty_ledger_adds_up(db: None) -> None:
    assert ledger_findings(at=BOOKED_AT).ok


@pytest.mark.parametrize(
    ("total", "shown"),
    [
        ("debits_pending", (11, 4, 0, 100)),
        ("debits_posted", (10, 5, 0, 100)),
        ("credits_pending", (10, 4, 1, 100)),
        ("credits_posted", (10, 4, 0, 101)),
    ],
)
def test_it_finds_a_total_that_moved_without_a_transfer(
    busy: Books, total: str, shown: tuple[int, int, int, int]
) -> None:
    tamper(f"UPDATE ledger_account SET {total} = {total} + 1 WHERE owner = 'allocation:1' AND kind = 'allocation'")  # noqa: S608

    findings = ledger_findings(at=BOOKED_AT)

    assert findings.drifts == [Drift(busy.allocation.pk, totals=shown, log=(10, 4, 0, 100))]
    assert [unit.unit for unit in findings.unbalanced_units] == [H100]


def test_it_finds_a_transfer_whose_totals_were_never_moved(busy: Books) -> None:
    tamper(
        "INSERT INTO ledger_transfer (id, kind, debit_id, credit_id, amount, batch, reason, event_at, booked_at, actor)"
        " SELECT gen_random_uuid(), kind, debit_id, credit_id, amount, batch, reason, event_at, booked_at, actor"
        " FROM ledger_transfer WHERE amount = 5"
    )

    findings = ledger_findings(at=BOOKED_AT)

    assert [drift.account_id for drift in findings.drifts] == [busy.other_allocation.pk, busy.other_consumed.pk]
    assert findings.unbalanced_units == []


def test_it_finds_a_transfer_of_an_account_that_is_gone(busy: Books) -> None:
    tamper("DELETE FROM ledger_account WHERE id = %s", busy.other_consumed.pk)

    findings = ledger_findings(at=BOOKED_AT)

    assert [drift.account_id for drift in findings.drifts] == [busy.other_consumed.pk]
    assert findings.unbalanced_units == [UnbalancedUnit("gpu:h200", posted=5, pending=0)]


def test_it_finds_an_account_below_zero(busy: Books) -> None:
    tamper("UPDATE ledger_account SET may_overdraw = true WHERE id = %s", busy.pool.pk)
    book(direct(busy.pool, busy.overrun, 2_000))
    tamper("ALTER TABLE ledger_account DROP CONSTRAINT ledger_account_balance")
    tamper("UPDATE ledger_account SET may_overdraw = false WHERE id = %s", busy.pool.pk)

    assert ledger_findings(at=BOOKED_AT).overdrawn_account_ids == [busy.pool.pk]


def test_it_finds_a_hold_that_outlived_its_job(busy: Books) -> None:
    late, resolved, early = book(
        hold(busy.pool, busy.allocation, 1, expires_at=EVENT_AT),
        hold(busy.pool, busy.allocation, 1, expires_at=EVENT_AT),
        hold(busy.pool, busy.allocation, 1, expires_at=BOOKED_AT + timedelta(hours=1)),
    )
    book(void(resolved.pk))

    assert ledger_findings(at=BOOKED_AT).overdue_hold_ids == [late.pk]
    assert ledger_findings(at=BOOKED_AT + timedelta(hours=2)).overdue_hold_ids == [late.pk, early.pk]


def test_the_command_prints_one_json_object(busy: Books) -> None:
    out = StringIO()

    call_command("ledger_verify", "--json", stdout=out)

    printed = json.loads(out.getvalue().splitlines()[-1])
    assert printed["ok"] is True
    assert (printed["accounts"], printed["transfers"], printed["drifts"]) == (8, 9, [])


def test_the_command_fails_and_says_what_is_wrong(busy: Books) -> None:
    tamper("UPDATE ledger_account SET credits_posted = 7 WHERE id = %s", busy.consumed.pk)
    (late,) = book(hold(busy.pool, busy.allocation, 1, expires_at=EVENT_AT))
    out = StringIO()

    with pytest.raises(CommandError, match="does not add up"):
        call_command("ledger_verify", stdout=out)

    assert f"account {busy.consumed.pk}: totals (0, 0, 10, 7), its transfers say (0, 0, 10, 4)" in out.getvalue()
    assert "unit gpu:h100: debits exceed credits by -3 posted, 0 pending" in out.getvalue()
    assert f"hold {late.pk} should have been resolved" in out.getvalue()

    out = StringIO()
    with pytest.raises(CommandError):
        call_command("ledger_verify", "--json", stdout=out)
    assert json.loads(out.getvalue())["drifts"][0]["account_id"] == busy.consumed.pk


def test_the_metrics_show_the_last_verification(busy: Books) -> None:
    assert metrics() == {"saola_ledger_verified_timestamp_seconds": 0}

    verification_run(at=BOOKED_AT)
    tamper("UPDATE ledger_account SET credits_posted = 7 WHERE id = %s", busy.consumed.pk)
    verification_run(at=BOOKED_AT + timedelta(minutes=5))

    shown = metrics()
    assert shown["saola_ledger_verified_timestamp_seconds"] == (BOOKED_AT + timedelta(minutes=5)).timestamp()
    assert shown["saola_ledger_transfers"] == 9
    assert shown['saola_ledger_findings{finding="drifted_account"}'] == 1
    assert shown['saola_ledger_findings{finding="unbalanced_unit"}'] == 1
    assert shown['saola_ledger_findings{finding="overdrawn_account"}'] == 0
    assert shown['saola_ledger_findings{finding="overdue_hold"}'] == 0
