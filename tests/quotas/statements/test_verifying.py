"""The verification finds what was forged; its owner switches the triggers off for that."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from portal.people.models import Organisation, Project
from quotas.programmes.models import Programme
from quotas.statements.errors import AlreadyCorrected, NothingToCorrect
from quotas.statements.models import Check, Statement
from quotas.statements.services import files_make, statement_correct, statements_verify
from tests.quotas import makers
from tests.quotas.makers import HOUR
from tests.quotas.statements.conftest import at
from tests.quotas.statements.making import NOVEMBER, OCTOBER, full_month, issue

pytestmark = pytest.mark.django_db


@pytest.fixture
def statement(project: Project, programme: Programme) -> Statement:
    allocation = full_month(project, programme)
    statement = issue(OCTOBER)["sao-mai"]
    with at(2026, 11, 5):
        makers.charge(allocation, "november", HOUR)
    issue(NOVEMBER)
    return statement


def forge(sql: str, *values: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE statements_statement DISABLE TRIGGER USER")
        cursor.execute("ALTER TABLE statements_statementfile DISABLE TRIGGER USER")
        cursor.execute("ALTER TABLE ledger_transfer DISABLE TRIGGER USER")
        cursor.execute(sql, values)
        for table in ("statements_statement", "statements_statementfile", "ledger_transfer"):
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def verify(**options: str) -> dict[str, object]:
    out = StringIO()
    try:
        call_command("statement_verify", json=True, stdout=out, stderr=StringIO(), **options)
    except SystemExit:
        assert not json.loads(out.getvalue())["ok"]
    return json.loads(out.getvalue())


def test_what_was_issued_agrees_with_the_ledger(statement: Statement) -> None:
    found = verify()
    assert found == {"ok": True, "statements": 2, "files": 0, "differences": []}
    assert Check.objects.filter(differences=[]).count() == 2


def test_a_transfer_that_was_changed_behind_the_ledgers_back_is_found_in_its_month_and_the_next(
    statement: Statement,
) -> None:
    forge("UPDATE ledger_transfer SET amount = amount - 1 WHERE id = %s", makers.named("charge 2"))

    found = verify()

    assert found["ok"] is False
    assert {row["number"] for row in found["differences"]} == {"SK-2026-10-00001", "SK-2026-11-00002"}
    said = [row["what"] for row in found["differences"] if row["number"] == statement.number]
    assert "compute[0].total.charged: issued -68401, the ledger says -68400" in said
    assert Check.objects.get(statement=statement).differences == said[:20]


def test_a_transfer_smuggled_into_a_closed_month_is_found(statement: Statement) -> None:
    forge(
        "INSERT INTO ledger_transfer SELECT gen_random_uuid(), kind, 3600, gen_random_uuid(), reason, event_at,"
        " booked_at, expires_at, actor, credit_id, debit_id, resolves_id FROM ledger_transfer WHERE id = %s",
        makers.named("refund"),
    )
    assert verify()["ok"] is False


@pytest.mark.usefixtures("untypeset")
@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("UPDATE statements_statement SET content = replace(content, '\"charged\":-6', '\"charged\":-5')", "hashed"),
        ("UPDATE statements_statement SET summary = '{}'", "totals in lists"),
        ("UPDATE statements_statement SET number = 'SK-2026-10-00009' WHERE sequence = 1", "the content says"),
        (
            "UPDATE statements_statement SET sequence = 5, number = 'SK-2026-11-00005' WHERE sequence = 2",
            "numbers 2 to",
        ),
        ("UPDATE statements_statementfile SET content = 'x' WHERE format = 'csv'", "stored csv is another file"),
    ],
)
def test_forgeries_are_found(statement: Statement, sql: str, said: str) -> None:
    files_make(statement_id=statement.pk)
    assert verify()["files"] == 7
    forge(sql)
    assert any(said in row["what"] for row in verify()["differences"])


def test_a_statement_that_is_missing_is_found(project: Project, other_project: Project, programme: Programme) -> None:
    full_month(project, programme)
    with at(2026, 10, 20):
        makers.award(other_project, programme)
    assert len(issue(OCTOBER)) == 2
    forge("DELETE FROM statements_statement WHERE sequence = 2")
    assert verify()["differences"] == [{"number": "2026-10", "what": "hong-lam has no statement", "corrected_by": ""}]


def test_a_correction_names_what_it_corrects_and_takes_the_next_number(
    statement: Statement, organisation: Organisation
) -> None:
    with pytest.raises(NothingToCorrect):
        statement_correct(statement_id=statement.pk, reason="x", actor="test")
    organisation.name = "Công ty Sao Mai AI Việt Nam"
    organisation.save()

    new = statement_correct(statement_id=statement.pk, reason="tên sai", actor="test")

    assert new.number == "SK-2026-10-00003"
    content = new.read()
    assert (content["corrects"], content["correction_reason"]) == (statement.number, "tên sai")
    assert content["facts"]["organisation"]["name"] == "Công ty Sao Mai AI Việt Nam"
    assert content["compute"] == statement.read()["compute"]
    with pytest.raises(AlreadyCorrected, match="SK-2026-10-00003"):
        statement_correct(statement_id=statement.pk, reason="x", actor="test")
    assert statements_verify().ok


def test_one_organisation_and_one_month_can_be_asked_for(statement: Statement) -> None:
    assert verify(organisation="sao-mai", month="2026-11")["statements"] == 1
    assert verify(organisation="hong-lam")["statements"] == 0


def test_closing_by_command(project: Project, programme: Programme) -> None:
    full_month(project, programme)
    out = StringIO()
    with at(2026, 11, 2):
        call_command("statements_close", month="2026-10", json=True, stdout=out, stderr=StringIO())
        again = StringIO()
        call_command("statements_close", month="2026-10", json=True, stdout=again, stderr=StringIO())
        with pytest.raises(CommandError, match="2026-11"):
            call_command("statements_close", month="2026-11", stderr=StringIO())
    with pytest.raises(CommandError, match="YYYY-MM"):
        call_command("statements_close", month="October", stderr=StringIO())
    assert json.loads(out.getvalue()) == {
        "month": "2026-10",
        "closed": ["2026-09", "2026-10"],
        "issued": ["SK-2026-10-00001"],
        "statements": 1,
        "statements_with_files": 0,
    }
    assert json.loads(again.getvalue())["issued"] == []
