"""What every adapter must do, against a real Slurm, with the rights of the portal's worker and no more.

The contract is `protocol.ClusterAdapter`: another adapter passes the same tests.
"""

import dataclasses
import fcntl
import json
import re
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scheduler.clusters.adapters import programs
from scheduler.clusters.adapters.commands import CommandsAdapter
from scheduler.clusters.adapters.programs import Programs
from scheduler.clusters.adapters.protocol import (
    ClusterError,
    ClusterUnreachable,
    SubmissionRefused,
)
from tests.scheduler.clusters.contract.ground import Ground
from tests.scheduler.live import RUBBISH, own_name, wait_for

pytestmark = pytest.mark.slurm


# ---- reading


def test_the_controller_says_when_it_booted_and_what_waits_for_slurmdbd(ground: Ground) -> None:
    status = ground.adapter.controller_status()
    assert status.booted_at < status.answered_at
    assert status.dbd_queue >= 0
    assert status.priority_calc_period_s == 60


def test_nodes_and_partitions_show_their_gpus(ground: Ground) -> None:
    nodes = {node.name: node for node in ground.adapter.nodes()}
    assert nodes["gpu001"].gpus == {"h100": 8}
    assert nodes["gpu004"].gpus == {"h200": 8}
    partitions = {row.name: row for row in ground.adapter.partitions()}
    assert (partitions["h100"].gpu_type, partitions["h100"].nodes, partitions["h100"].gpus_per_node) == ("h100", 3, 8)
    assert (partitions["h200"].gpu_type, partitions["h200"].is_up) == ("h200", True)
    assert partitions["h100"].max_time_s == 172_800


# ---- accounts, associations, QOS: written, read back, field by field


def test_what_is_created_is_read_back(ground: Ground) -> None:
    accounts = {row.name: row for row in ground.adapter.accounts()}
    assert (accounts[ground.organisation].parent, accounts[ground.project].parent) == ("root", ground.organisation)
    rows = {(row.user, row.partition): row for row in ground.adapter.associations() if row.account == ground.project}
    assert set(rows) == {(user, part) for user in (ground.alice, ground.bob) for part in ("h100", "h200")}
    assert (rows[ground.alice, "h200"].qos, rows[ground.alice, "h200"].default_qos) == ((ground.h200,), ground.h200)
    qos = {row.name: row for row in ground.adapter.qos()}[ground.h100]
    assert qos.flags == {"NoDecay", "DenyOnLimit"}
    assert qos.grp_tres_mins == {"gres/gpu": 10_000, "gres/gpu:h100": 10_000}
    assert (qos.min_tres_per_job, qos.grp_jobs, qos.grp_submit_jobs) == ({"gres/gpu": 1}, None, None)
    usage = ground.adapter.qos_usage([ground.h100, "no-such-qos"])
    assert set(usage) == {ground.h100}
    assert usage[ground.h100].limit_minutes == 10_000


def test_a_new_qos_is_shut_until_it_is_opened(ground: Ground) -> None:
    name = f"{ground.h100}-born"
    ground.adapter.qos_create(name=name, description=name)
    try:
        qos = {row.name: row for row in ground.adapter.qos()}[name]
        assert (qos.grp_jobs, qos.grp_submit_jobs, qos.grp_tres_mins) == (0, 0, {"gres/gpu": 0})
    finally:
        ground.slurm.admin("sacctmgr", "-i", "delete", "qos", "where", f"name={name}")


def test_making_or_removing_the_same_twice_is_no_error(ground: Ground) -> None:
    adapter = ground.adapter
    adapter.account_create(name=ground.project, parent=ground.organisation, organisation="x", description="x")
    adapter.qos_create(name=ground.h100, description="x")
    adapter.association_create(
        account=ground.project, user=ground.alice, partition="h100", qos=[ground.h100], default_qos=ground.h100
    )
    adapter.association_remove(account=ground.project, user="nobody-here", partition="h100")
    adapter.account_remove(name="no-such-account")
    assert {row.name: row for row in adapter.accounts()}[ground.project].parent == ground.organisation


def test_what_slurm_refuses_is_an_error_with_its_words(ground: Ground) -> None:
    with pytest.raises(ClusterError, match="no-such-account"):
        ground.adapter.association_create(
            account="no-such-account", user=ground.alice, partition="h100", qos=[ground.h100], default_qos=ground.h100
        )
    with pytest.raises(ClusterError, match="no-such-qos"):
        ground.adapter.association_modify(
            account=ground.project, user=ground.alice, partition="h100", qos=["no-such-qos"], default_qos="no-such-qos"
        )


def test_an_association_is_changed_blocked_opened_and_removed_by_partition(ground: Ground) -> None:
    adapter, third = ground.adapter, ground.slurm.researchers[2]

    def found():
        return {
            row.partition: row for row in adapter.associations() if (row.account, row.user) == (ground.project, third)
        }

    for part, qos in (("h100", ground.h100), ("h200", ground.h200)):
        adapter.association_create(account=ground.project, user=third, partition=part, qos=[qos], default_qos=qos)
    place = {"account": ground.project, "user": third, "partition": "h100"}
    adapter.association_modify(**place, qos=[ground.h100, ground.h200], default_qos=ground.h200)
    assert (found()["h100"].qos, found()["h100"].default_qos) == (
        tuple(sorted([ground.h100, ground.h200])),
        ground.h200,
    )
    adapter.association_modify(**place, qos=[ground.h100], default_qos=ground.h100)
    adapter.association_block(**place)
    assert (found()["h100"].qos, found()["h100"].max_jobs, found()["h100"].max_submit_jobs) == ((ground.h100,), 0, 0)
    assert found()["h200"].max_jobs is None
    adapter.association_unblock(**place)
    assert (found()["h100"].max_jobs, found()["h100"].max_submit_jobs) == (None, None)
    adapter.association_remove(**place)
    assert set(found()) == {"h200"}
    adapter.association_remove(account=ground.project, user=third, partition="h200")
    assert found() == {}


def test_an_association_without_partition_is_not_mistaken_for_all(ground: Ground) -> None:
    third = ground.slurm.researchers[2]
    ground.slurm.change_tree(
        "add", "user", f"name={third}", f"account={ground.project}", f"cluster={ground.slurm.cluster}"
    )
    ground.adapter.association_create(
        account=ground.project, user=third, partition="h100", qos=[ground.h100], default_qos=ground.h100
    )
    for expected in ({"h100"}, set()):
        partition = "" if expected else "h100"
        ground.adapter.association_remove(account=ground.project, user=third, partition=partition)
        rows = ground.adapter.associations()
        assert {row.partition for row in rows if (row.account, row.user) == (ground.project, third)} == expected


def test_a_default_account_goes_to_one_that_the_person_is_still_in(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading whose accounts there are and the change, somebody took the person out of the first of them."""
    adapter, third = ground.slurm.adapter(), ground.slurm.researchers[2]
    place = {"user": third, "partition": "h100"}
    rights = {"qos": [ground.h100], "default_qos": ground.h100}
    first, second = sorted(own_name(word) for word in ("left", "kept"))
    RUBBISH.accounts |= {first, second}
    for account in (first, second):
        adapter.account_create(name=account, parent=ground.organisation, organisation="o", description="d")
    for account in (ground.project, second):
        adapter.association_create(account=account, **place, **rights)
    who = ["where", f"name={third}", f"cluster={ground.slurm.cluster}"]
    ground.slurm.change_tree("modify", "user", *who, "set", f"defaultaccount={ground.project}")
    rows = [row for row in adapter.associations() if row.user == third and row.account in (ground.project, second)]
    stale = [*rows, dataclasses.replace(rows[0], account=first)]
    monkeypatch.setattr(CommandsAdapter, "associations", lambda _self: stale)
    adapter.association_remove(account=ground.project, **place)
    monkeypatch.undo()
    left = {row.account for row in adapter.associations() if row.user == third}
    assert second in left
    assert ground.project not in left


def test_limits_are_set_changed_and_cleared(ground: Ground) -> None:
    adapter = ground.adapter
    try:
        adapter.qos_modify(name=ground.h200, grp_tres_mins={"gres/gpu": 7, "gres/gpu:h200": 7}, grp_jobs=0)
        changed = {row.name: row for row in adapter.qos()}[ground.h200]
        assert (changed.grp_tres_mins, changed.grp_jobs) == ({"gres/gpu": 7, "gres/gpu:h200": 7}, 0)
        wait_for(
            "slurmctld to hold the limit", lambda: adapter.qos_usage([ground.h200])[ground.h200].limit_minutes == 7, 5
        )
        adapter.qos_modify(name=ground.h200, grp_tres_mins={"gres/gpu:h200": -1}, grp_jobs=-1)
        cleared = {row.name: row for row in adapter.qos()}[ground.h200]
        assert (cleared.grp_tres_mins, cleared.grp_jobs) == ({"gres/gpu": 7}, None)
    finally:
        ground.limit(ground.h200, "h200", 10_000)


def test_a_unix_account_is_looked_up(ground: Ground) -> None:
    assert ground.adapter.unix_account_exists(ground.alice)
    assert not ground.adapter.unix_account_exists("nobody-here")


# ---- one change at a time


def test_a_change_of_accounts_waits_for_whoever_is_making_one(ground: Ground) -> None:
    name = own_name("waits")
    with Path(ground.slurm.how["accounting_lock"]).open() as lock, ThreadPoolExecutor(1) as pool:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = pool.submit(
            ground.adapter.account_create, name=name, parent=ground.organisation, organisation="o", description="d"
        )
        time.sleep(1)
        assert not made.done()
        ground.slurm.adapter().qos_modify(name=ground.h100, grp_jobs=7)  # outside the tree
        fcntl.flock(lock, fcntl.LOCK_UN)
        made.result()
    assert name in {row.name for row in ground.adapter.accounts()}
    ground.adapter.account_remove(name=name)


def test_who_waits_too_long_is_told_which_lock_it_was(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "LOCK_TIMEOUT_S", 0.2)
    path = ground.slurm.how["accounting_lock"]
    with Path(path).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ClusterUnreachable, match=re.escape(path)):
            ground.slurm.adapter().account_remove(name="nobody-has-this")


# ---- a Slurm that is not there


def test_a_dead_slurmctld_is_unreachable_and_a_refusal_by_name(ground: Ground) -> None:
    place = Path(tempfile.mkdtemp(prefix="nowhere-"))
    place.chmod(0o755)
    try:
        lines = Path(ground.slurm.how["slurm_conf"]).read_text().splitlines()
        conf = place / "slurm.conf"
        conf.write_text("\n".join("SlurmctldPort=1" if x.startswith("SlurmctldPort=") else x for x in lines))
        conf.chmod(0o644)
        for name in ("submit", "control"):
            shutil.copy(Path(ground.slurm.how["wrappers_dir"]) / name, place / name)
        settings = place / "wrappers.json"
        settings.write_text(json.dumps({"slurm_conf": str(conf), "bin_dir": ground.slurm.how["bin_dir"]}))
        settings.chmod(0o644)
        lost = CommandsAdapter(
            cluster=ground.slurm.cluster,
            programs=Programs(
                slurm_conf=str(conf), accounting_lock=str(place / "lock"), bin_dir=ground.slurm.how["bin_dir"]
            ),
            wrappers_dir=str(place),
            sudo="/usr/bin/sudo",
        )
        with ThreadPoolExecutor() as pool:  # side by side: each gives up after 9 s
            asked = pool.submit(lost.controller_status)
            with pytest.raises(SubmissionRefused) as refusal:
                lost.submit(ground.request())
            with pytest.raises(ClusterUnreachable):
                asked.result()
        assert refusal.value.code == "connect_failure"
    finally:
        shutil.rmtree(place)
