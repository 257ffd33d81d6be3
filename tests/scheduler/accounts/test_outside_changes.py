"""What somebody did by hand: found with who and when, repaired, one object at a time where the cycle does not."""

from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from portal.clock import now
from portal.outbox.models import Message
from portal.people.models import User
from scheduler.accounts.models import OutsideChange, StoredPlan
from scheduler.accounts.tasks import plan_apply_asked
from scheduler.clusters.adapters.parse_changes import changes, changes_named
from scheduler.clusters.models import Cluster
from tests.scheduler.accounts.conftest import Site
from tests.scheduler.accounts.test_pages import CHANGE, REMOVE, store

RECORDED = Path(__file__).parents[1] / "clusters/recorded"


def test_what_slurmdbd_wrote_down_is_read_plainly() -> None:
    found = changes((RECORDED / "transactions.txt").read_text(), "local")
    found = changes_named(found, (RECORDED / "transactions_made.txt").read_text())
    assert [(row.number, row.actor, row.verb, row.what) for row in found] == [
        (326, "root", "Modify QOS", "(name='q1'): flags=256"),
        (327, "root", "Modify QOS", "(name='q1'): grp_jobs=4, grp_tres_mins=1001=999,1003=5, min_tres_pj"),
        (328, "root", "Modify Associations", "minh in sl-mo-hinh: max_jobs=3, qos"),
        (376, "root", "Remove Associations", "sl-mo-hinh/minh/h100, sl-mo-hinh/hoa/h100"),
        (398, "root", "Remove Accounts", "name='sl-sao-mai'"),
        (399, "root", "Remove QOS", "id='17'"),
    ]
    assert {"sl-mo-hinh", "minh"} <= found[2].words
    assert {"sl-mo-hinh", "hoa"} <= found[3].words
    assert "q1" in found[0].words


@pytest.mark.slurm
@pytest.mark.django_db
def test_who_did_what_by_hand_is_shown_and_repaired(site: Site, operator: User, client: Client) -> None:
    allocation = site.award()
    alice, bob = (site.join(name).unix_account for name in site.slurm.researchers[:2])
    site.cycle()
    assert not OutsideChange.objects.exists()
    before = now()
    site.slurm.admin("sacctmgr", "-i", "modify", "qos", "where", f"name={allocation.qos}", "set", "GrpJobs=4")
    who = [f"account={site.account}", "cluster=local"]
    site.slurm.change_tree("modify", "user", "where", f"name={alice}", *who, "set", "maxjobs=3")
    site.slurm.change_tree("delete", "user", "where", f"name={bob}", *who)
    assert site.cycle().left.changes == []
    rows = {row.verb: row for row in OutsideChange.objects.filter(cluster=site.cluster)}
    assert {verb: row.names for verb, row in rows.items()} == {
        "Modify QOS": [allocation.qos],
        "Modify Associations": [site.account],
        "Remove Associations": [site.account],
    }
    assert "max_jobs=3" in rows["Modify Associations"].what
    assert bob in rows["Remove Associations"].what
    for row in rows.values():
        assert (row.actor, row.differs, row.repaired_at is not None) == ("root", True, True)
        assert abs((row.at - before).total_seconds()) < 60
    site.cycle()
    assert OutsideChange.objects.count() == 3  # what the portal did itself is not listed, nor anything twice
    client.force_login(operator)
    page = client.get(reverse("accounts:cluster", args=["local"])).content.decode()
    assert "Sửa tay" in page
    assert page.count("<code>root</code>") == 3


@pytest.mark.slurm
@pytest.mark.django_db
def test_one_object_is_repaired_and_read_back(site: Site, operator: User, client: Client, monkeypatch) -> None:
    site.award()
    people = [site.join(name) for name in site.slurm.researchers[:2]]
    site.cycle()
    site.cluster.removals_cap = 0
    site.cluster.save()
    for person in people:
        site.leave(person)
    assert site.cycle().removals_withheld == 2
    client.force_login(operator)
    name = f"{site.account}/{people[0].unix_account}/h100"
    address = reverse("accounts:repair", args=["local"])
    page = client.get(address, {"kind": "association", "object": name}).content.decode()
    assert name in page
    answer = {"kind": "association", "object": name, "digest": StoredPlan.objects.get().digest}
    assert client.post(address, answer | {"object": "sl-none"}).status_code == 302
    assert not Message.objects.filter(topic="accounts.apply").exists()
    for _ in range(2):
        client.post(address, answer)
    for module in ("planning", "applying", "cycle"):
        monkeypatch.setattr(f"scheduler.accounts.services.{module}.adapter_for", lambda name: site.adapter)
    plan_apply_asked(Message.objects.get(topic="accounts.apply"))
    assert {user for user, _ in site.members()} == {people[1].unix_account}
    assert [action["name"] for action in StoredPlan.objects.get().actions] == [
        f"{site.account}/{people[1].unix_account}/h100"
    ]


# ---- the pages


@pytest.fixture
def cluster(db: None) -> Cluster:
    return Cluster.objects.create(name="local", title="Cụm Hà Nội", created_at=now())


def outside(cluster: Cluster, number: int, **more: object) -> OutsideChange:
    facts = {
        "at": now(),
        "actor": "root",
        "verb": "Modify QOS",
        "what": "(name='mo-hinh-h100-1a2b3c'): grp_jobs=<4>",
        "names": ["mo-hinh-h100-1a2b3c"],
        "differs": True,
        "seen_at": now(),
        **more,
    }
    return OutsideChange.objects.create(cluster=cluster, number=number, **facts)


def test_the_page_to_repair_one_object_says_who_changed_it(client: Client, operator: User, cluster: Cluster) -> None:
    store(cluster, CHANGE, REMOVE)
    outside(cluster, 1)
    outside(cluster, 2, actor="admin-two", names=["sl-other"])
    client.force_login(operator)
    address = reverse("accounts:repair", args=["local"])
    page = client.get(address, {"kind": "qos", "object": "mo-hinh-h100-1a2b3c"}).content.decode()
    assert "<code>root</code>" in page
    assert "grp_jobs=&lt;4&gt;" in page
    assert "admin-two" not in page
    assert 'name="digest" value="' + "d" * 64 in page
    assert client.get(address, {"kind": "qos", "object": "gone"}).status_code == 302


def test_what_became_of_each_change_is_shown(client: Client, operator: User, cluster: Cluster) -> None:
    store(cluster)
    outside(cluster, 1, repaired_at=now())
    outside(cluster, 2)
    outside(cluster, 3, differs=False)
    client.force_login(operator)
    client.cookies["django_language"] = "en"
    page = client.get(reverse("accounts:cluster", args=["local"])).content.decode()
    for words in ("Repaired ", "Still differs", "Not against the plan"):
        assert words in page


def test_an_unsound_tree_is_said_first(client: Client, operator: User, cluster: Cluster) -> None:
    store(cluster, tree_faults=["sl-a, sl-b: both have 84"])
    client.force_login(operator)
    client.cookies["django_language"] = "en"
    page = client.get(reverse("accounts:cluster", args=["local"])).content.decode()
    assert "sl-a, sl-b: both have 84" in page
    assert "removes and moves nothing" in page
    card = client.get(reverse("accounts:card")).content.decode()
    assert "tree is broken" in card
