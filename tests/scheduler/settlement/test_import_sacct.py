"""A centre brings its history: `manage.py import_sacct`."""

import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal.people.models import Organisation, Project
from quotas.allocations.models import Allocation
from quotas.allocations.selectors import allocation_balances, allocations_on_cluster
from quotas.ledger.models import Transfer
from scheduler.settlement.management.commands.import_sacct import Bar
from scheduler.settlement.models import ImportedAccount, Record
from scheduler.settlement.services import settle

pytestmark = pytest.mark.django_db

HEADER = "JobIDRaw|Account|User|State|Submit|Start|End|ElapsedRaw|AllocTRES|Partition"


def line(job_id, account="vision", *, elapsed_s=100, tres="gres/gpu:h100=2,gres/gpu=2", state="COMPLETED", **more):
    end = "Unknown" if state == "RUNNING" else "2025-03-01T12:30:00"
    submit = more.get("submit", "2025-03-01T12:00:00")
    partition = more.get("partition", "old")
    return f"{job_id}|{account}|an|{state}|{submit}|2025-03-01T12:00:10|{end}|{elapsed_s}|{tres}|{partition}"


ZONES = [line(number, elapsed_s=100 + number) for number in range(1, 6)]


@pytest.fixture
def run_import(cluster, tmp_path):
    def run(*lines, header=HEADER, **options):
        path = Path(tmp_path, "dump.txt")
        path.write_text("\n".join([header, *lines]) + "\n")
        out, errors = io.StringIO(), io.StringIO()
        call_command("import_sacct", str(path), "--cluster", "local", "--json", stdout=out, stderr=errors, **options)
        result = json.loads(out.getvalue().splitlines()[-1])
        run.said = errors.getvalue()
        assert result["records"] == (
            result["new"] + result["unchanged"] + result["changed"] + sum(result["skipped"].values())
        )
        return result

    return run


def counts():
    models = (Record, Organisation, Project, Allocation, Transfer, ImportedAccount)
    return {model.__name__: model.objects.count() for model in models}


def test_unknown_accounts_are_listed_and_left_out(run_import):
    before = counts()
    result = run_import(line(1), line(2), line(3, "speech"))
    assert result == {
        "records": 3,
        "new": 0,
        "unchanged": 0,
        "changed": 0,
        "charged_gpu_seconds": {},
        "skipped": {"unknown_account": 3},
        "unknown_accounts": {"speech": 1, "vision": 2},
    }
    assert "vision (2)" in run_import.said
    assert counts() == before


def test_missing_accounts_become_organisations_whose_allocations_are_born_closed(run_import):
    result = run_import(line(1), line(2, tres="gres/gpu:a100=1"), line(3, "speech", elapsed_s=7), create_missing=True)
    assert result["new"] == 3
    assert result["charged_gpu_seconds"] == {"a100": 100, "h100": 214}
    assert sorted(Organisation.objects.filter(imported=True).values_list("name", flat=True)) == ["speech", "vision"]
    project = ImportedAccount.objects.get(account="vision").project
    assert project.imported
    allocation = Allocation.objects.get(project=project, gpu_type="h100")
    assert (allocation.imported, allocation.state, allocation.adopted_at) == (True, "closed", None)
    balance = allocation_balances([allocation.pk])[allocation.pk]
    assert (balance.granted, balance.consumed, balance.remaining, balance.overrun) == (200, 200, 0, 0)
    assert allocation not in allocations_on_cluster("local")


def test_importing_twice_charges_nothing_the_second_time(run_import):
    lines = [line(1), line(2, tres=""), line(3, state="FAILED")]
    run_import(*lines, create_missing=True)
    before = counts()
    result = run_import(*lines, create_missing=True)
    assert (result["new"], result["unchanged"], result["charged_gpu_seconds"]) == (0, 3, {})
    assert counts() == before


def test_a_longer_dump_adds_what_is_new_to_the_same_allocation(run_import):
    run_import(line(1), create_missing=True)
    result = run_import(line(1), line(2, elapsed_s=5))
    assert (result["new"], result["unchanged"], result["charged_gpu_seconds"]) == (1, 1, {"h100": 10})
    (allocation,) = Allocation.objects.all()
    assert allocation_balances([allocation.pk])[allocation.pk].consumed == 210


def test_a_line_that_changed_is_corrected_once(run_import):
    run_import(line(1, elapsed_s=100), create_missing=True)
    for elapsed_s in (90, 90, 150):
        run_import(line(1, elapsed_s=elapsed_s))
    (allocation,) = Allocation.objects.all()
    balance = allocation_balances([allocation.pk])[allocation.pk]
    assert (balance.consumed, balance.overrun) == (300, 0)
    record = Record.objects.get()
    assert (record.revision, record.gpu_seconds, record.charged_gpu_seconds) == (2, 300, 300)


def test_a_record_twice_in_one_file_counts_once(run_import):
    result = run_import(line(1), line(1), create_missing=True)
    assert (result["records"], result["new"], result["unchanged"]) == (2, 1, 1)
    assert result["charged_gpu_seconds"] == {"h100": 200}


def test_a_requeued_jobs_runs_are_records_of_their_own(run_import):
    again = line(1, submit="2025-03-01T12:05:00", elapsed_s=3)
    result = run_import(line(1, state="REQUEUED"), again, create_missing=True)
    assert (result["new"], result["charged_gpu_seconds"]) == (2, {"h100": 206})


def test_a_record_without_a_gpu_counts_at_zero(run_import):
    result = run_import(line(1, tres="cpu=4,mem=8G"), create_missing=True)
    assert (result["new"], result["charged_gpu_seconds"]) == (1, {})
    assert Record.objects.get().allocation is None


def test_generic_gpus_take_the_partitions_type_then_the_option_then_gpu(run_import):
    lines = [line(1, tres="gres/gpu=1", partition="h200"), line(2, tres="gres/gpu=1", partition="old")]
    result = run_import(*lines, create_missing=True, gpu_type="V100")
    assert result["charged_gpu_seconds"] == {"h200": 100, "v100": 100}
    result = run_import(line(3, tres="gres/gpu=1"))
    assert result["charged_gpu_seconds"] == {"gpu": 100}


def test_a_missing_column_is_named_and_nothing_is_written(run_import):
    before = counts()
    with pytest.raises(CommandError, match="ElapsedRaw"):
        run_import("x", header=HEADER.replace("|ElapsedRaw", ""), create_missing=True)
    assert counts() == before


def test_nothing_is_written_when_it_fails_half_way(run_import, monkeypatch):
    before = counts()
    monkeypatch.setattr("scheduler.settlement.services.importing.transfers_import", _fail)
    with pytest.raises(RuntimeError):
        run_import(line(1), line(2, "speech"), create_missing=True)
    assert counts() == before


def _fail(**ignored):
    raise RuntimeError("the disk is full")


def test_what_cannot_be_charged_is_counted_by_reason(run_import):
    result = run_import(
        line(1, state="RUNNING"),
        line("2.batch"),
        "nonsense",
        line(3, tres="gres/gpu:a=1,gres/gpu:b=1"),
        line(4, elapsed_s="x"),
    )
    assert result["skipped"] == {"not_finished": 1, "several_gpu_types": 1, "step": 1, "unreadable": 2}


def test_the_portals_own_accounts_are_left_to_the_settlement(run_import, record_of, cluster, allocation, account):
    result = run_import(line(1, account))
    assert result["skipped"] == {"settled_by_portal": 1}
    settle(cluster=cluster, records=[record_of(1)])
    seconds = record_of(1).submit_at.strftime("%Y-%m-%dT%H:%M:%S")
    result = run_import(line(1, account, submit=seconds), line(2, account))
    assert (result["unchanged"], result["skipped"]) == (1, {"settled_by_portal": 1})


def test_a_project_of_the_same_short_name_is_a_known_account(run_import, project):
    result = run_import(line(1, project.slug))
    assert result["charged_gpu_seconds"] == {"h100": 200}
    assert Allocation.objects.get(project=project).imported


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"timezone": "Mars/Olympus"}, "no time zone"),
        ({"timezone": "../../etc/passwd"}, "no time zone"),
        ({"gpu_type": "h100;drop"}, "no name of a GPU type"),
    ],
)
def test_an_option_that_means_nothing_is_refused(run_import, options, words):
    with pytest.raises(CommandError, match=words):
        run_import(line(1), **options)


def test_an_unknown_cluster_or_file_is_one_clear_line(cluster, tmp_path):
    with pytest.raises(CommandError, match="There is no cluster 'mars'"):
        call_command("import_sacct", "x", "--cluster", "mars")
    with pytest.raises(CommandError, match="No such file"):
        call_command("import_sacct", str(tmp_path / "x"), "--cluster", "local")
    with pytest.raises(CommandError, match="directory"):
        call_command("import_sacct", str(tmp_path), "--cluster", "local")


def test_the_zone_of_the_dump_is_an_option(run_import):
    run_import(line(1), create_missing=True, timezone="Asia/Ho_Chi_Minh")
    assert Record.objects.get().ended_at.isoformat() == "2025-03-01T05:30:00+00:00"


LINES = st.builds(
    line,
    st.integers(1, 6),
    st.sampled_from(["vision", "speech", 'o\'brien "x"', "äöü\\t"]),
    elapsed_s=st.integers(0, 5),
    tres=st.sampled_from(["", "gres/gpu=1", "gres/gpu:h100=2", "gres/gpu=x"]),
    state=st.sampled_from(["COMPLETED", "CANCELLED by 0", "RUNNING"]),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(LINES, max_size=8), st.integers(0, 8))
def test_however_a_dump_is_cut_and_repeated_each_record_is_charged_once(run_import, lines, cut):
    from django.db import transaction

    with transaction.atomic():
        run_import(*lines[:cut], create_missing=True)
        run_import(*lines, create_missing=True)
        run_import(*lines, create_missing=True)
        charged = {record.charge: record.charged_gpu_seconds for record in Record.objects.all()}
        assert all(record.charged_gpu_seconds == record.gpu_seconds for record in Record.objects.all())
        balances = allocation_balances(Allocation.objects.values_list("pk", flat=True))
        assert sum(balance.consumed for balance in balances.values()) == sum(charged.values())
        assert all(balance.overrun == 0 for balance in balances.values())
        transaction.set_rollback(True)


def test_a_terminal_sees_a_bar_and_a_pipe_does_not():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    shown, piped = Terminal(), io.StringIO()
    for stream in (shown, piped):
        bar = Bar(stream)
        bar.show("reading", 50, 100)
        bar.end()
    assert "[###############               ]  50%" in shown.getvalue()
    assert piped.getvalue() == ""


def test_a_dump_under_another_time_zone_is_refused_and_nothing_is_written(run_import):
    run_import(*ZONES, create_missing=True, timezone="Asia/Ho_Chi_Minh")
    before = counts()
    with pytest.raises(CommandError, match="5 of its records were imported before, but 7 h later here than there"):
        run_import(*ZONES, line(9, elapsed_s=33))
    assert counts() == before
    assert run_import(*ZONES, line(9, elapsed_s=33), timezone="Asia/Ho_Chi_Minh")["new"] == 1


def test_a_requeued_run_that_lasted_as_long_is_no_other_time_zone(run_import):
    run_import(*ZONES, create_missing=True)
    again = line(1, elapsed_s=101, submit="2025-03-01T13:00:00")
    assert run_import(again, line(9, elapsed_s=33))["new"] == 2
