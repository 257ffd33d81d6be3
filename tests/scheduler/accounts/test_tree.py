"""slurmdbd's nested intervals: what is broken is found, and nothing is cut out of a broken tree."""

from pathlib import Path
from unittest.mock import patch

import pytest

from scheduler.accounts import metrics
from scheduler.accounts.models import StoredPlan
from scheduler.accounts.tree import tree_faults
from scheduler.clusters.adapters import parse
from scheduler.clusters.adapters.programs import Answer
from scheduler.clusters.adapters.protocol import ClusterError
from tests.scheduler.accounts.conftest import Site

RECORDED = (Path(__file__).parents[1] / "clusters/recorded/tree.txt").read_text()


def broken(old: str, new: str) -> list[str]:
    assert RECORDED.count(old) == 1
    return tree_faults(parse.tree(RECORDED.replace(old, new)))


def test_a_tree_as_slurmdbd_keeps_it_is_sound() -> None:
    nodes = parse.tree(RECORDED)
    assert len(nodes) == 9
    assert tree_faults(nodes) == []


def test_numbers_may_have_gaps() -> None:
    assert broken("root||||1|404", "root||||1|9404") == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        # What two additions at once leave: the same numbers twice.
        ("|h100||86|87", "|h100||84|85", "both have 84"),
        ("|h100||86|87", "|h100||87|87", "87–87 is no interval"),
        ("sl-tro-ly-y-khoa|||sl-nom-ai|79|82", "sl-tro-ly-y-khoa|||sl-nom-ai|79|84", "lies across"),
        # A child that a removal of somebody else's account would take.
        ("|r1|h100||80|81", "|r1|h100||405|406", "lies in nothing, not in sl-tro-ly-y-khoa"),
        ("|r1|h100||80|81", "|r1|h100||90|91", "lies in root, not in sl-tro-ly-y-khoa"),
        ("sl-nom-ai|||root|78|89", "sl-nom-ai|||sl-gone|78|89", "lies in root, not in sl-gone"),
        ("sl-tro-ly-y-khoa|||sl-nom-ai|79|82", "sl-tro-ly-y-khoa|||sl-nom-ai|92|95", "sl-nom-ai"),
    ],
)
def test_a_broken_tree_is_found(old: str, new: str, fault: str) -> None:
    faults = broken(old, new)
    assert any(fault in line for line in faults), faults


# ---- with a real Slurm; its own numbers are never touched


@pytest.mark.slurm
@pytest.mark.django_db
def test_nothing_is_cut_out_of_a_broken_tree_and_who_goes_may_start_nothing(site: Site) -> None:
    allocation = site.award()
    people = [site.join(name) for name in site.slurm.researchers[:2]]
    assert site.cycle().tree.faults == ()
    nodes = site.adapter.tree()
    assert nodes is not None
    assert {(node.user, node.partition) for node in nodes if node.account == site.account} == {
        ("", ""), *site.members()
    }  # fmt: skip
    site.leave(people[0])
    more = site.award(gpu_seconds=600)
    with patch.object(type(site.adapter), "tree", return_value=[*nodes, nodes[0]]):
        applied = site.cycle()
        stored = StoredPlan.objects.get()
        assert applied.tree.faults
        assert stored.tree_faults == list(applied.tree.faults)
        faults = [row for family in metrics.collect() for row in family.samples if "tree_faults" in row.name]
        assert [row.value for row in faults] == [len(stored.tree_faults)]
        left = site.members()
        assert (left[people[0].unix_account, "h100"].max_jobs, left[people[1].unix_account, "h100"].max_jobs) == (
            0,
            None,
        )
        assert site.minutes(more) == 10  # the rest goes on
        site.cycle()
        assert set(site.members()) == set(left)
    with patch.object(type(site.adapter), "tree", side_effect=ClusterError("odd")):
        assert site.cycle().tree.faults == ("odd",)
        assert set(site.members()) == set(left)
    # From 23.11 on slurmdbd has no such numbers.
    refused = Answer(1, "", " Unknown field 'lft'\n")
    real = type(site.adapter.programs).ask

    def ask(self, *words: str, **more: object) -> Answer:
        return refused if any("lft" in word for word in words) else real(self, *words, **more)

    with patch.object(type(site.adapter.programs), "ask", ask):
        assert site.adapter.tree() is None
        assert site.cycle().left.changes == []
    assert {user for user, _ in site.members()} == {people[1].unix_account}
    assert allocation.qos in {row.name for row in site.adapter.qos()}
