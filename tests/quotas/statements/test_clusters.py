"""What lay on which cluster: two clusters of one organisation, a move between them, and tariffs of each."""

import json
from datetime import date
from typing import Any

import pytest
from django.utils import translation

from portal.people.models import Project
from quotas.allocations.models import Allocation, Withdrawal
from quotas.allocations.services import cluster_move, move_arrive, withdrawal_confirm
from quotas.programmes.models import Programme
from quotas.statements.canonical import canonical, sha256_of
from quotas.statements.errors import NothingToCorrect
from quotas.statements.figures import MOVEMENTS
from quotas.statements.models import Statement
from quotas.statements.renderers.document import Document, document_of
from quotas.statements.services import files_make, statement_correct, statements_verify
from scheduler.clusters.services import cluster_register
from tests import factories
from tests.quotas import makers
from tests.quotas.makers import HOUR
from tests.quotas.statements.conftest import TARIFF_VND, at
from tests.quotas.statements.making import NOVEMBER, OCTOBER, issue
from tests.quotas.statements.test_verifying import forge

pytestmark = pytest.mark.django_db
Row = dict[str, int]


@pytest.fixture(autouse=True)
def _two_clusters(settings: Any, db: None) -> None:
    settings.CLUSTERS = ["local", "south"]
    cluster_register(name="local", title="Cụm Hà Nội")
    cluster_register(name="south", title="Cụm phía Nam")


@pytest.fixture
def second(project: Project) -> Project:
    return factories.project("Thị giác", "thi-giac", of=project.organisation)


def moved(source: Allocation, hours: int) -> Withdrawal:
    """Asked for and left the source; not arrived."""
    row = cluster_move(
        source_id=source.pk, cluster="south", amount_gpu_seconds=hours * HOUR, reason="rảnh", actor="test"
    )
    withdrawal_confirm(withdrawal_id=row.pk, event_at=makers.NOON, actor="test")
    return row


def arrived(row: Withdrawal) -> Allocation:
    move_arrive(withdrawal_id=row.pk, event_at=makers.NOON, actor="test")
    row.refresh_from_db()
    assert row.target is not None
    return row.target


def october(allocation: Allocation, second: Project, programme: Programme) -> None:
    """80 of 100 H100-hours stay in Hà Nội, 15 arrive in the south, 5 are on their way; another project works there."""
    with at(2026, 10, 6):
        there = makers.award(second, programme, gpu_seconds=10 * HOUR, cluster="south")
        makers.award(second, programme, gpu_seconds=4 * HOUR, gpu_type="h200")
    with at(2026, 10, 8):
        makers.charge(allocation, "here", 30 * HOUR)
        makers.charge(there, "there", 3 * HOUR)
        target = arrived(moved(allocation, 15))
        makers.charge(target, "moved", 2 * HOUR)
        moved(allocation, 5)


def by_place(statement: Statement) -> dict[tuple[str, str | None, str | None], Row]:
    """The figures that are not 0, by GPU type, cluster and project."""
    return {
        (row["gpu_type"], row["cluster"], row["project"]): {
            name: row[name] // HOUR for name in ("opening", *MOVEMENTS, "closing") if row[name]
        }
        for row in statement.read()["clusters"]
    }


def document_in(statement: Statement, language: str) -> Document:
    with translation.override(language):
        return document_of(statement.read(), statement.sha256)


def test_what_lay_on_which_cluster_and_what_was_moved_between_them(
    allocation: Allocation, project: Project, second: Project, programme: Programme
) -> None:
    october(allocation, second, programme)
    statement = issue(OCTOBER)["sao-mai"]

    slug = project.slug
    assert by_place(statement) == {
        ("h100", None, None): {"awarded": 110, "moved": 5 - 110, "closing": 5},
        ("h100", "local", slug): {"moved": 100 - 20, "charged": -30, "closing": 50},
        ("h100", "south", slug): {"moved": 15, "charged": -2, "closing": 13},
        ("h100", "south", "thi-giac"): {"moved": 10, "charged": -3, "closing": 7},
        ("h200", None, None): {"awarded": 4, "moved": -4},
        ("h200", "local", "thi-giac"): {"moved": 4, "closing": 4},
    }
    content = statement.read()
    assert content["schema"] == 2
    assert content["facts"]["clusters"] == {"local": "Cụm Hà Nội", "south": "Cụm phía Nam"}
    for part in content["compute"]:
        rows = [row for row in content["clusters"] if row["gpu_type"] == part["gpu_type"]]
        assert part["total"] == {name: sum(row[name] for row in rows) for name in part["total"]}
    assert statements_verify().ok


def test_what_is_on_its_way_at_midnight_arrives_in_the_next_month(
    allocation: Allocation, project: Project, second: Project, programme: Programme
) -> None:
    october(allocation, second, programme)
    before = by_place(issue(OCTOBER)["sao-mai"])
    with at(2026, 11, 3):
        arrived(Withdrawal.objects.get(state=Withdrawal.State.MOVING))
    after = by_place(issue(NOVEMBER)["sao-mai"])

    assert {place: row["closing"] for place, row in before.items() if "closing" in row} == {
        place: row["opening"] for place, row in after.items()
    }
    assert after["h100", None, None] == {"opening": 5, "moved": -5}
    assert after["h100", "south", project.slug] == {"opening": 13, "moved": 5, "closing": 18}
    assert statements_verify().ok


@pytest.mark.parametrize(
    ("language", "title", "columns", "nowhere"),
    [
        ("vi", "H100 theo cụm máy", ["Cụm máy", "Dự án"], "chưa ở cụm máy nào"),
        ("en", "H100 by cluster", ["Cluster", "Project"], "on no cluster"),
    ],
)
def test_the_table_of_clusters_has_each_ones_sum_and_its_projects(
    allocation: Allocation,
    second: Project,
    programme: Programme,
    language: str,
    title: str,
    columns: list[str],
    nowhere: str,
) -> None:
    october(allocation, second, programme)
    document = document_in(issue(OCTOBER)["sao-mai"], language)

    [table] = [table for table in document.tables if table.id == "clusters-h100"]
    assert table.title == title
    assert [column.label for column in table.columns[:2]] == columns
    closing = [(row[0], row[1], row[-1]) for row in table.rows]
    assert closing == [
        (nowhere, "", 5 * HOUR),
        ("Cụm Hà Nội", allocation.project.title, 50 * HOUR),
        ("Cụm phía Nam", "", 20 * HOUR),
        ("Cụm phía Nam", allocation.project.title, 13 * HOUR),
        ("Cụm phía Nam", "Thị giác", 7 * HOUR),
    ]
    assert table.strong == {0, 1, 2}


def test_on_one_cluster_a_line_says_which_and_no_table_repeats_the_projects(allocation: Allocation) -> None:
    document = document_in(issue(OCTOBER)["sao-mai"], "vi")
    assert ("Cụm máy", "Cụm Hà Nội") in document.facts
    assert not [table for table in document.tables if table.id.startswith("clusters-")]


def test_each_clusters_vouchers_earn_at_its_own_tariff(
    allocation: Allocation, second: Project, programme: Programme
) -> None:
    """H200 costs three times as much in the south; the H100 that moved there stays at its voucher's tariff."""
    with at(2026, 10, 6):
        makers.tariff("h200", 200_001, cluster="south", valid_from=date(2026, 10, 7))
    with at(2026, 10, 8):
        makers.award(second, programme, gpu_seconds=HOUR, gpu_type="h200")
        there = makers.award(second, programme, gpu_seconds=HOUR, gpu_type="h200", cluster="south")
        makers.charge(there, "h200 there", HOUR)
        makers.charge(arrived(moved(allocation, 15)), "h100 there", 2 * HOUR)

    content = issue(OCTOBER)["sao-mai"].read()

    earned = {
        row["number"]: (row["money"]["tariff_vnd_per_gpu_hour"], row["money"]["earned"]) for row in content["vouchers"]
    }
    assert earned == {
        allocation.voucher.number: (TARIFF_VND, -2 * TARIFF_VND),
        there.voucher.number: (200_001, -200_001),
    } | {row["number"]: (2 * TARIFF_VND + 1, 0) for row in content["vouchers"] if row["money"]["earned"] == 0}
    assert len(earned) == 3
    assert statements_verify().ok


@pytest.mark.usefixtures("untypeset")
def test_a_statement_of_the_first_schema_is_verified_and_read_as_it_was_issued(
    allocation: Allocation, second: Project, programme: Programme
) -> None:
    october(allocation, second, programme)
    statement = issue(OCTOBER)["sao-mai"]
    first = statement.read() | {"schema": 1}
    del first["clusters"], first["facts"]["clusters"]
    content = canonical(first)
    forge(
        "UPDATE statements_statement SET content = %s, sha256 = %s WHERE id = %s",
        content,
        sha256_of(content),
        statement.pk,
    )

    files_make(statement_id=statement.pk)
    verified = statements_verify()

    assert verified.ok, verified.differences
    statement.refresh_from_db()
    assert statement.content == content == bytes(statement.files.get(format="json").content).decode()
    assert "clusters" not in json.loads(content)
    assert not [table for table in document_in(statement, "en").tables if table.id.startswith("clusters-")]
    with pytest.raises(NothingToCorrect):
        statement_correct(statement_id=statement.pk, reason="x", actor="test")
    forge("UPDATE ledger_transfer SET amount = amount - 1 WHERE id = %s", makers.named("charge here"))
    assert not statements_verify().ok
