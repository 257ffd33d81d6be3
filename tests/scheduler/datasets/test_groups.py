"""Who is in which group: desired, applied, read back; withheld where it is too much, told where others interfered."""

import pytest

from portal.people.services import project_member_remove
from scheduler.clusters.unix_groups import FolderInfo
from scheduler.datasets.models import Reading, StoredGroups
from scheduler.datasets.plan import Action, by_hand, plan
from scheduler.datasets.services import data_set_change, data_set_offer, data_set_withdraw
from scheduler.datasets.services.groups import folder_state, groups_apply, groups_cycle
from tests.scheduler.datasets import makers

GROUP = "sd-bao-2025"


@pytest.fixture
def cycle(cluster, host):
    return lambda: groups_cycle(cluster.name, groups=host)


# --- pure ---------------------------------------------------------------------------------------------------------


def test_the_plan_adds_removes_and_makes_empty_groups_but_never_removes_one():
    wanted = {"a": frozenset({"x", "y"}), "b": frozenset(), "c": frozenset({"z"})}
    actual = {"a": frozenset({"y", "old"}), "b": None, "c": frozenset({"z"}), "stray": frozenset({"x"})}
    made = plan(wanted, actual)
    assert made.actions == (Action("a", False, ("x",), ("old",)), Action("b", True, (), ()))
    assert (made.removals, made.additions) == (1, 1)
    assert plan(wanted, wanted).actions == ()


def test_what_is_done_by_hand_is_told_from_what_the_plan_did():
    last, wanted = {"a": frozenset({"x"})}, {"a": frozenset({"x", "new"})}
    assert (
        by_hand(last, {"a": frozenset({"x", "new"})}, wanted) == []
    )  # a worker that was killed before it wrote it down
    assert by_hand(last, {"a": frozenset({"spy"})}, wanted) == [Action("a", False, ("spy",), ("x",))]
    assert by_hand(last, {"a": None}, wanted) == [Action("a", False, (), ("x",))]


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (None, "absent"),
        (FolderInfo("regular file", "g", 0o750), "no_folder"),
        (FolderInfo("directory", "root", 0o750), "group"),
        (FolderInfo("directory", "g", 0o770), "writable"),
        (FolderInfo("directory", "g", 0o752), "writable"),
        (FolderInfo("directory", "g", 0o700), "closed"),
        (FolderInfo("directory", "g", 0o755), "public"),
        (FolderInfo("directory", "g", 0o2750), "fine"),
    ],
)
def test_a_folder_is_as_its_group_promises(found, state):
    assert folder_state(found, "g") == state


# --- with the catalogue -------------------------------------------------------------------------------------------


def test_nothing_is_asked_of_a_host_without_data_sets(cluster):
    assert groups_cycle(cluster.name, groups=None) is None
    assert not StoredGroups.objects.exists()


def test_a_draft_has_an_empty_group_and_an_offered_one_its_people(cluster, host, cycle, researcher, other_researcher):
    made = makers.draft(cluster)
    cycle()
    assert host.groups == {GROUP: set()}
    makers.offered(cluster, "chung")
    data_set_offer(data_set=made, actor="test")
    cycle()
    assert host.groups == {GROUP: {"minh", "quan"}, "sd-chung": {"minh", "quan"}}
    assert Reading.objects.get(data_set=made).members == ["minh", "quan"]
    stored = StoredGroups.objects.get()
    assert (stored.actions, stored.applied_changes, stored.outside) == ([], 4, [])


def test_named_ones_let_in_organisations_and_single_projects(
    cluster, host, cycle, researcher, pi, other_researcher, organisation, other_project
):
    made = makers.offered(cluster, **makers.named(organisations=[organisation]))
    cycle()
    assert host.groups[GROUP] == {"minh", "hoa"}
    changed = makers.described(**makers.named(projects=[other_project]))
    data_set_change(data_set=made, described=changed, actor="test")
    cycle()
    assert host.groups[GROUP] == {"quan"}


def test_who_leaves_is_taken_out(cluster, host, cycle, researcher, pi, project):
    makers.offered(cluster)
    cycle()
    project_member_remove(project=project, user=researcher, role="researcher", actor="test")
    pi.is_active = False
    pi.save()
    cycle()
    assert host.groups[GROUP] == set()


def test_more_removals_than_the_cap_wait_for_a_person_and_additions_do_not(
    cluster, host, cycle, researcher, pi, second_researcher, other_researcher, organisation, other_project
):
    made = makers.offered(cluster, **makers.named(organisations=[organisation]))
    cycle()
    data_set_change(data_set=made, described=makers.described(**makers.named(projects=[other_project])), actor="test")
    applied = cycle()
    assert applied is not None
    assert applied.removals_withheld == 3
    assert host.groups[GROUP] == {"minh", "hoa", "tuan", "quan"}
    stored = StoredGroups.objects.get()
    assert (stored.removals_withheld, stored.actions[0]["remove"]) == (3, ["hoa", "minh", "tuan"])
    groups_apply(cluster=cluster, removals_cap=3, actor="test", groups=host)
    assert host.groups[GROUP] == {"quan"}
    assert StoredGroups.objects.get().removals_withheld == 0


def test_withdrawing_empties_the_group(cluster, host, cycle, researcher):
    made = makers.offered(cluster)
    cycle()
    data_set_withdraw(data_set=made, reason="Hết hạn giấy phép", actor="test")
    cycle()
    assert host.groups == {GROUP: set()}


def test_what_is_changed_by_hand_is_shown_and_made_right(cluster, host, cycle, researcher):
    makers.offered(cluster)
    cycle()
    host.groups[GROUP] = {"spy"}
    cycle()
    assert host.groups[GROUP] == {"minh"}
    [told] = StoredGroups.objects.get().outside
    assert (told["group"], told["add"], told["remove"]) == (GROUP, ["spy"], ["minh"])
    cycle()
    assert len(StoredGroups.objects.get().outside) == 1


def test_one_whom_the_host_refuses_keeps_nobody_out(cluster, host, cycle, researcher, pi):
    host.refuses = {"hoa"}
    makers.offered(cluster)
    cycle()
    assert host.groups[GROUP] == {"minh"}
    stored = StoredGroups.objects.get()
    assert stored.errors == [f"{GROUP}: saola-groups: person: no researcher"]
    assert stored.actions[0]["add"] == ["hoa"]


def test_an_account_that_is_not_there_yet_is_waited_for(cluster, host, cycle, researcher):
    host.accounts = set()
    makers.offered(cluster)
    cycle()
    assert host.groups[GROUP] == set()
    assert StoredGroups.objects.get().notes == [{"code": "waits_for_unix_account", "name": "minh", "about": GROUP}]
    host.accounts = {"minh"}
    cycle()
    assert host.groups[GROUP] == {"minh"}
    host.accounts = set()  # a name service that fails for a moment
    cycle()
    assert host.groups[GROUP] == {"minh"}


def test_a_cycle_without_a_change_changes_nothing(cluster, host, cycle, researcher):
    makers.offered(cluster)
    cycle()
    before = len(host.changes)
    cycle()
    assert len(host.changes) == before
