"""The operators' pages: what a worker stored, in plain words. No Slurm is asked."""

from datetime import UTC, datetime

import pytest
from django.test import Client
from django.urls import reverse

from portal.outbox.models import Message
from portal.people.models import User
from portal.people.services import project_member_remove
from quotas.allocations.models import Allocation
from scheduler.accounts.models import LimitReading, StoredPlan
from scheduler.accounts.tasks import plan_apply_asked
from scheduler.clusters.models import Cluster, Snapshot
from tests.quotas import makers

NOON = datetime(2026, 6, 1, 5, 0, tzinfo=UTC)

ADD = {
    "verb": "add",
    "kind": "association",
    "name": "sl-mo-hinh/minh/h100",
    "is_blocked": False,
    "changes": [{"object": "association", "name": "x", "field": "qos", "from": None, "to": ["mo-hinh-h100-1a2b3c"]}],
}
CHANGE = {
    "verb": "change",
    "kind": "qos",
    "name": "mo-hinh-h100-1a2b3c",
    "is_blocked": False,
    "changes": [
        {
            "object": "qos",
            "name": "mo-hinh-h100-1a2b3c",
            "field": "grp_tres_mins",
            "from": {"gres/gpu": 60_000, "gres/gpu:h100": 60_000},
            "to": {"gres/gpu": 54_000, "gres/gpu:h100": 54_000},
        },
        {"object": "qos", "name": "mo-hinh-h100-1a2b3c", "field": "grp_jobs", "from": 0, "to": None},
    ],
}
REMOVE = {
    "verb": "remove",
    "kind": "association",
    "name": "sl-mo-hinh/tuan/h100",
    "is_blocked": False,
    "changes": [{"object": "association", "name": "x", "field": "qos", "from": ["mo-hinh-h100-1a2b3c"], "to": None}],
}
BLOCKED = {**REMOVE, "name": "sl-mo-hinh/hoa/h100", "is_blocked": True}


@pytest.fixture
def cluster(db: None) -> Cluster:
    cluster = Cluster.objects.create(name="local", title="Cụm Hà Nội", created_at=NOON)
    Snapshot.objects.create(
        cluster=cluster,
        taken_at=NOON,
        reachable=True,
        slurmctld_booted_at=NOON,
        nodes=[
            {
                "name": "gpu001",
                "state": "IDLE+DRAIN",
                "reason": "bad fan <b>",
                "partitions": ["h100"],
                "gpus": {"h100": 8},
                "gpus_allocated": {},
            }
        ],
    )
    return cluster


def store(cluster: Cluster, *actions: dict[str, object], **more: object) -> StoredPlan:
    facts = {"made_at": NOON, "actions": list(actions), "digest": "d" * 64, **more}
    return StoredPlan.objects.update_or_create(cluster=cluster, defaults=facts)[0]


@pytest.fixture
def page(client: Client, operator: User, cluster: Cluster):
    client.force_login(operator)

    def read(language: str = "en") -> str:
        operator.language = language
        operator.save()
        client.cookies["django_language"] = language
        return client.get(reverse("accounts:cluster", args=[cluster.name])).content.decode()

    return read


def test_a_plan_reads_as_from_and_to(page, cluster: Cluster) -> None:
    store(cluster, ADD, CHANGE, REMOVE, BLOCKED)
    text = page()
    assert "sl-mo-hinh/minh/h100" in text
    assert '<span class="change-from">all GPUs: 1,000, H100: 1,000</span>' in text
    assert '<span class="change-to">all GPUs: 900, H100: 900</span>' in text
    assert '<span class="change-to">no limit</span>' in text
    assert "removed when the last running job has ended" in text
    assert "including 1 removal:" in text  # the blocked one has lost its access already


def test_an_empty_plan_says_that_slurm_holds_everything(page, cluster: Cluster) -> None:
    store(cluster, applied_at=NOON, applied_changes=3)
    assert "Applied and read back" in page()
    assert "Apply now" not in page()


def test_withheld_removals_errors_and_notes_say_what_to_do(page, cluster: Cluster) -> None:
    notes = [
        {"code": "waits_for_unix_account", "name": "minh", "about": "sl-mo-hinh"},
        {"code": "no_partition", "name": "q-a100", "about": "a100"},
        {"code": "foreign_name", "name": "sl-theirs", "about": ""},
    ]
    store(cluster, REMOVE, removals_withheld=1, errors=["qos q1: sacctmgr: <refused>"], notes=notes)
    text = page()
    assert "above the cap of 20 for one cycle, so nothing was removed" in text
    assert "sacctmgr: &lt;refused&gt;" in text
    assert "minh has no unix account on the cluster yet" in text
    assert "has A100 GPUs" in text
    assert "was not made by the portal" in text


def test_limits_stand_beside_slurms_counter(page, cluster: Cluster, project, operator: User) -> None:
    allocation: Allocation = makers.award(project, makers.programme(), gpu_seconds=360_000)
    LimitReading.objects.create(
        cluster=cluster,
        qos=allocation.qos,
        wanted_minutes=5_400,
        read_minutes=6_000,
        usage_raw_gpu_seconds=36_000,
        expected_usage_gpu_seconds=72_000,
        counter_gap_gpu_seconds=36_000,
        read_at=NOON,
    )
    text = page()
    assert reverse("allocations:detail", args=[allocation.pk]) in text
    assert "Still 100" in text
    assert '<td class="num">20</td>' in text  # used: 72,000 GPU-seconds
    assert text.count('<td class="num">10</td>') == 2  # counted, and short by


def test_a_silent_slurm_is_said_first(page, cluster: Cluster) -> None:
    Snapshot.objects.update(reachable=False, error="Unable to contact slurm controller")
    text = page()
    assert "Slurm does not answer" in text
    assert "Unable to contact slurm controller" in text


def test_the_page_is_there_in_vietnamese(page, cluster: Cluster) -> None:
    store(cluster, ADD, CHANGE, REMOVE)
    text = page("vi")
    assert "Kế hoạch" in text
    assert "tất cả GPU: 1.000, H100: 1.000" in text


def test_asking_to_apply_writes_one_message_for_the_clusters_worker(
    client: Client, operator: User, cluster: Cluster
) -> None:
    store(cluster, REMOVE, BLOCKED)
    client.force_login(operator)
    for _ in range(2):  # the same plan asked for twice is the same message
        answer = client.post(reverse("accounts:apply", args=["local"]), {"digest": "d" * 64})
        assert answer.status_code == 302
    message = Message.objects.get(topic="accounts.apply")
    assert (message.queue, message.payload) == (
        "cluster.local",
        {"cluster": "local", "removals_cap": 1, "actor": f"user:{operator.pk}"},
    )


def test_a_plan_that_moved_on_is_not_applied_unseen(client: Client, operator: User, cluster: Cluster) -> None:
    store(cluster, REMOVE)
    client.force_login(operator)
    answer = client.post(reverse("accounts:apply", args=["local"]), {"digest": "e" * 64}, follow=True)
    assert not Message.objects.filter(topic="accounts.apply").exists()
    assert "accounts/cluster.html" in [template.name for template in answer.templates]


@pytest.mark.slurm
def test_what_an_operator_asked_for_goes_past_the_cap(site, operator: User, client: Client, monkeypatch) -> None:
    site.award()
    people = [site.join(name) for name in site.slurm.researchers[:2]]
    site.cycle()
    site.cluster.removals_cap = 0
    site.cluster.save()
    for person in people:
        project_member_remove(project=site.project, user=person, role="researcher")
    assert site.cycle().removals_withheld == 2
    client.force_login(operator)
    client.post(reverse("accounts:apply", args=["local"]), {"digest": StoredPlan.objects.get().digest})
    for module in ("planning", "applying"):
        monkeypatch.setattr(f"scheduler.accounts.services.{module}.adapter_for", lambda name: site.adapter)
    plan_apply_asked(Message.objects.get(topic="accounts.apply"))
    assert site.members() == {}
    assert StoredPlan.objects.get().actions == []


def test_the_card_on_the_home_page_speaks_only_of_trouble(client: Client, operator: User, cluster: Cluster) -> None:
    client.force_login(operator)
    assert client.get(reverse("accounts:card")).status_code == 204
    store(cluster, REMOVE, removals_withheld=3)
    assert client.get(reverse("accounts:card")).status_code == 200
