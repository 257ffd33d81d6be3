"""Desired state → plan → apply → read back, against a real Slurm."""

import json
from datetime import date
from io import StringIO
from unittest.mock import patch

import pytest
from django.core.management import call_command

from scheduler.accounts.models import LimitReading, OwnedName, StoredPlan
from scheduler.accounts.plan import Verb
from scheduler.accounts.services import plan_apply, plan_make
from scheduler.clusters.adapters.protocol import ClusterError
from tests import factories
from tests.scheduler.accounts.conftest import Site
from tests.scheduler.live import wait_for

pytestmark = [pytest.mark.slurm, pytest.mark.django_db]
SLEEPER = "#!/bin/sh\nsleep 120\n"


def command(name: str, *arguments: str) -> dict[str, object]:
    out = StringIO()
    call_command(name, "--cluster", "local", "--json", *arguments, stdout=out)
    return json.loads(out.getvalue().splitlines()[-1])


def test_the_first_application_makes_everything_and_the_second_plan_is_empty(site: Site) -> None:
    h100, h200 = site.award("h100"), site.award("h200", gpu_seconds=7_259)
    alice = site.join(site.slurm.researchers[0])
    found = {(row["object"], row["name"], row["field"]): row["to"] for row in site.changes()}
    organisation = f"{site.cluster.account_prefix}sao-mai"
    assert found["account", organisation, "parent"] == "root"
    assert found["account", site.account, "parent"] == organisation
    assert found["qos", h100.qos, "grp_tres_mins"] == {"gres/gpu": 100, "gres/gpu:h100": 100}
    assert found["qos", h200.qos, "grp_tres_mins"] == {"gres/gpu": 120, "gres/gpu:h200": 120}  # rounded down
    assert found["association", f"{site.account}/{alice.unix_account}/h200", "qos"] == [h200.qos]
    assert site.members() == {}  # a plan changes nothing

    applied = site.cycle()
    assert (applied.errors, applied.busy, applied.removals_withheld) == ([], [], 0)
    assert applied.left.changes == []
    assert site.changes() == []
    assert site.cycle().done == []
    members = site.members()
    assert set(members) == {(alice.unix_account, "h100"), (alice.unix_account, "h200")}
    assert members[alice.unix_account, "h100"].qos == (h100.qos,)
    assert members[alice.unix_account, "h200"].default_qos == h200.qos
    assert (site.minutes(h100), site.minutes(h200)) == (100, 120)
    readings = {row.qos: row for row in LimitReading.objects.all()}
    assert (readings[h100.qos].wanted_minutes, readings[h100.qos].read_minutes) == (100, 100)
    assert readings[h100.qos].counter_gap_gpu_seconds == 0


def test_new_members_of_a_project_come_in_one_call_and_one_by_one_where_that_fails(site: Site) -> None:
    site.award()
    people = [site.join(name).unix_account for name in site.slurm.researchers[:3]]
    real, calls = type(site.adapter).associations_create, []

    def create(self, *, users: list[str], **place: object) -> None:
        calls.append(list(users))
        if len(calls) == 1:
            raise ClusterError("refused for the test")
        real(self, users=users, **place)

    with patch.object(type(site.adapter), "associations_create", create):
        assert site.cycle().left.changes == []
    assert calls == [people, *([name] for name in people)]
    assert {user for user, _ in site.members()} == set(people)


def test_a_cycle_stops_in_time_and_the_next_goes_on(site: Site) -> None:
    allocation = site.award()
    site.join(site.slurm.researchers[0])
    made = plan_make(cluster=site.cluster, adapter=site.adapter)
    applied = plan_apply(cluster=site.cluster, plan=made, removals_cap=20, adapter=site.adapter, budget_s=0)
    assert (applied.done, site.changes()) == ([], [change.as_json() for change in made.changes])
    assert site.cycle().left.changes == []
    assert site.minutes(allocation) == 100


def test_the_commands_print_one_json_object_and_a_plan_changes_nothing(site: Site) -> None:
    allocation = site.award()
    site.join(site.slurm.researchers[0])
    with patch("scheduler.accounts.services.planning.adapter_for", return_value=site.adapter):
        first = command("cluster_plan")
        assert set(first["changes"][0]) == {"object", "name", "field", "from", "to"}
        assert command("cluster_plan") == first
        assert allocation.qos not in {row.name for row in site.adapter.qos()}
        with patch("scheduler.accounts.services.applying.adapter_for", return_value=site.adapter):
            applied = command("cluster_apply")
        assert (applied["applied"], applied["left"], applied["errors"]) == (first["changes"], [], [])
        assert command("cluster_plan")["changes"] == []


def test_a_changed_limit_and_every_drift_is_a_change_field_by_field(site: Site) -> None:
    allocation = site.award()
    alice = site.join(site.slurm.researchers[0]).unix_account
    site.cycle()
    admin = site.slurm.admin
    admin("sacctmgr", "-i", "modify", "qos", "where", f"name={allocation.qos}", "set", "flags=NoDecay")
    admin(
        *("sacctmgr", "-i", "modify", "qos", "where", f"name={allocation.qos}", "set"),
        *("GrpTRESMins=gres/gpu=999,gres/gpu:h100=-1,gres/gpu:h200=5", "MinTRESPerJob=gres/gpu=-1", "GrpJobs=4"),
    )
    place = f"{site.account}/{alice}/h100"
    site.slurm.change_tree(
        *("modify", "user", "where", f"name={alice}", f"account={site.account}", "partition=h100"),
        *("cluster=local", "set", "qos+=normal", "maxjobs=3"),
    )
    site.slurm.change_tree("add", "user", f"name={alice}", f"account={site.account}", "cluster=local")
    found = {(row["name"], row["field"]): (row["from"], row["to"]) for row in site.changes()}
    assert found[allocation.qos, "flags"] == (["NoDecay"], ["DenyOnLimit", "NoDecay"])
    assert found[allocation.qos, "grp_tres_mins"] == (
        {"gres/gpu": 999, "gres/gpu:h200": 5},
        {"gres/gpu": 100, "gres/gpu:h100": 100},
    )
    assert found[allocation.qos, "min_tres_per_job"] == ({}, {"gres/gpu": 1})
    assert found[allocation.qos, "grp_jobs"] == (4, None)
    assert found[place, "qos"] == (sorted([allocation.qos, "normal"]), [allocation.qos])
    assert found[place, "max_jobs"] == (3, None)
    assert found[f"{site.account}/{alice}/", "qos"] == (["normal"], None)  # bound to no partition: any of them
    applied = site.cycle()
    assert (applied.errors, applied.left.changes) == ([], [])
    assert set(site.members()) == {(alice, "h100")}


def test_more_hours_and_a_second_allocation_raise_what_is_there(site: Site) -> None:
    first = site.award()
    alice = site.join(site.slurm.researchers[0]).unix_account
    site.cycle()
    second = site.award(gpu_seconds=3_600, ends_on=date(2098, 1, 1))
    found = {(row["name"], row["field"]): (row["from"], row["to"]) for row in site.changes()}
    assert found[f"{site.account}/{alice}/h100", "qos"] == ([first.qos], sorted([first.qos, second.qos]))
    # What ends first is used first.
    assert found[f"{site.account}/{alice}/h100", "default_qos"] == (first.qos, second.qos)
    assert site.cycle().left.changes == []
    assert site.minutes(second) == 60
    # In a shell, naming no QOS: on what ends first, or refused in words where the project has nothing.
    options = [f"--account={site.account}", "--time=1", "--begin=now+1hour"]
    answer = site.slurm.sbatch(alice, *options, "--gres=gpu:h100:1")
    assert [line.qos for line in site.adapter.queue(job_ids=[int(answer.out)])] == [second.qos]
    refused = site.slurm.sbatch(alice, *options, "--partition=h200", "--gres=gpu:h200:1")
    assert "Invalid account or account/partition combination specified" in refused.error
    shut = site.slurm.sbatch(alice, *options, "--qos=normal", "--gres=gpu:h100:1")
    assert "Invalid qos specification" in shut.error


# ---- people


def test_a_removed_member_loses_access(site: Site) -> None:
    allocation = site.award()
    alice, bob = (site.join(name) for name in site.slurm.researchers[:2])
    site.cycle()
    options = [*site.place(allocation), "--gres=gpu:h100:1", "--time=1"]
    assert site.slurm.sbatch(bob.unix_account, *options).code == 0
    wait_for("the job to end", lambda: not [job for job in site.adapter.queue() if job.qos == allocation.qos], 60)
    site.leave(bob)
    (removal,) = plan_make(cluster=site.cluster, adapter=site.adapter).of(Verb.REMOVE)
    assert removal.name == f"{site.account}/{bob.unix_account}/h100"
    assert {change.field: (change.before, change.after) for change in removal.changes} == {
        "qos": ((allocation.qos,), None),
        "default_qos": (allocation.qos, None),
    }
    site.cycle()
    refused = site.slurm.sbatch(bob.unix_account, *options)
    assert "Invalid account or account/partition combination" in refused.error
    assert site.slurm.sbatch(alice.unix_account, *options).code == 0


def test_a_removed_members_running_jobs_end_by_themselves_and_nothing_else_of_theirs_starts(site: Site) -> None:
    allocation = site.award(gpu_seconds=60_000)
    bob = site.join(site.slurm.researchers[1])
    site.cycle()
    options = [*site.place(allocation), "--gres=gpu:h100:1", "--time=5"]
    array = int(site.slurm.sbatch(bob.unix_account, *options, "--array=1-3%1", script=SLEEPER).out)
    wait_for("the first task to run", lambda: site.running(allocation) == 1)
    later = int(site.slurm.sbatch(bob.unix_account, *options, "--begin=now+1hour").out)
    site.leave(bob)
    applied = site.cycle()
    assert [action.name for action in applied.busy] == [f"{site.account}/{bob.unix_account}/h100"]
    assert StoredPlan.objects.get().actions[0]["is_blocked"]
    assert site.slurm.sbatch(bob.unix_account, *options).code != 0
    wait_for(
        "what waits to be cancelled",
        lambda: [job.state for job in site.adapter.queue() if job.qos == allocation.qos] == ["RUNNING"],
    )
    site.slurm.admin("scancel", str(array))
    wait_for("slurmdbd to know its end", lambda: site.cycle().left.changes == [], 30)
    assert site.members() == {}
    states = {record.job_id: record.state for record in site.adapter.records(job_ids=[array, later])}
    assert set(states.values()) == {"CANCELLED"}


def test_a_member_who_comes_back_before_the_job_ended_is_let_in_again(site: Site) -> None:
    allocation = site.award(gpu_seconds=60_000)
    bob = site.join(site.slurm.researchers[1])
    site.cycle()
    options = [*site.place(allocation), "--gres=gpu:h100:1", "--time=5"]
    assert site.slurm.sbatch(bob.unix_account, *options, script=SLEEPER).code == 0
    wait_for("the job to run", lambda: site.running(allocation) == 1)
    site.leave(bob)
    assert site.cycle().busy
    factories.project_member(bob, site.project)
    fields = {row["field"]: (row["from"], row["to"]) for row in site.changes()}
    assert fields == {"max_jobs": (0, None), "max_submit_jobs": (0, None)}
    assert site.cycle().left.changes == []
    assert site.slurm.sbatch(bob.unix_account, *options).code == 0


def test_more_removals_than_the_cap_remove_nobody_but_hold_nothing_else_up(site: Site) -> None:
    allocation = site.award()
    people = [site.join(name) for name in site.slurm.researchers[:3]]
    site.cycle()
    site.cluster.removals_cap = 1
    site.cluster.save()
    for person in people[:2]:
        site.leave(person)
    more = site.award(gpu_seconds=600)
    applied = site.cycle()
    assert applied.removals_withheld == 2
    assert {user for user, _ in site.members()} == {person.unix_account for person in people}
    assert site.minutes(more) == 10
    assert StoredPlan.objects.get().removals_withheld == 2
    site.cluster.removals_cap = 2
    site.cluster.save()
    assert site.cycle().left.changes == []
    assert {user for user, _ in site.members()} == {people[2].unix_account}
    assert allocation.qos in {row.name for row in site.adapter.qos()}


def test_the_apply_command_ends_with_1_where_removals_are_withheld(site: Site) -> None:
    site.award()
    bob = site.join(site.slurm.researchers[1])
    site.cycle()
    site.leave(bob)
    out = StringIO()
    with (
        patch("scheduler.accounts.services.planning.adapter_for", return_value=site.adapter),
        patch("scheduler.accounts.services.applying.adapter_for", return_value=site.adapter),
        pytest.raises(SystemExit) as end,
    ):
        call_command("cluster_apply", "--cluster", "local", "--removals-cap", "0", "--json", stdout=out)
    assert end.value.code == 1
    assert json.loads(out.getvalue())["removals_withheld"] == 1
    assert set(site.members()) == {(bob.unix_account, "h100")}


def test_who_has_no_unix_account_waits_for_it(site: Site) -> None:
    site.award()
    site.join("nobody-here")
    plan = plan_make(cluster=site.cluster, adapter=site.adapter)
    assert ("waits_for_unix_account", "nobody-here") in {(note.code, note.name) for note in plan.notes}
    assert "nobody-here" not in json.dumps([change.as_json() for change in plan.changes])


def test_a_name_service_that_fails_takes_nobodys_access(site: Site) -> None:
    site.award()
    site.join(site.slurm.researchers[0])
    site.cycle()
    with patch.object(type(site.adapter), "unix_account_exists", return_value=False):
        assert site.changes() == []


# ---- whose is it


def test_what_others_made_is_never_touched(site: Site) -> None:
    alice = site.slurm.researchers[0]
    theirs = f"{site.cluster.account_prefix}{site.project.slug}"  # even with our prefix
    admin, change_tree = site.slurm.admin, site.slurm.change_tree
    allocation = site.award()
    change_tree("add", "account", f"name={theirs}", "cluster=local", "parent=root")
    admin("sacctmgr", "-i", "add", "qos", f"name={allocation.qos}", "GrpTRESMins=gres/gpu=7")
    change_tree("add", "user", f"name={alice}", f"account={theirs}", "cluster=local")
    try:
        before = [row for row in site.adapter.associations() if row.account == theirs]
        site.join(alice)
        applied = site.cycle()
        assert {(note.code, note.name) for note in applied.left.notes} >= {
            ("foreign_name", theirs),
            ("foreign_name", allocation.qos),
        }
        assert [row for row in site.adapter.associations() if row.account == theirs] == before
        assert {row.name: row.grp_tres_mins for row in site.adapter.qos()}[allocation.qos] == {"gres/gpu": 7}
        assert not OwnedName.objects.filter(name__in=[theirs, allocation.qos]).exists()
        site.project.memberships.all().delete()
        assert site.cycle().done == []
        assert [row for row in site.adapter.associations() if row.account == theirs] == before
    finally:
        change_tree("delete", "user", "where", f"name={alice}", f"account={theirs}", "cluster=local")
        change_tree("delete", "account", "where", f"name={theirs}")
        admin("sacctmgr", "-i", "delete", "qos", "where", f"name={allocation.qos}")


def test_a_refused_action_does_not_stop_the_others(site: Site) -> None:
    bad, good = site.award(), site.award("h200")
    site.join(site.slurm.researchers[0])
    real = type(site.adapter).qos_create

    def create(self, *, name: str, **fields: object) -> None:
        if name == bad.qos:
            raise ClusterError("refused for the test")
        real(self, name=name, **fields)

    with patch.object(type(site.adapter), "qos_create", create):
        applied = site.cycle()
    assert "refused for the test" in applied.errors[0]
    assert (site.minutes(good), site.minutes(bad)) == (100, None)
    assert site.cycle().left.changes == []
    assert site.minutes(bad) == 100
