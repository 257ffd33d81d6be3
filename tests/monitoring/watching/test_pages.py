"""Who sees findings, and what can be done about them there."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from monitoring.attribution.models import Exporter
from monitoring.watching.models import CancelRule, Finding
from portal.clock import now
from portal.outbox.models import Message
from portal.people.models import User
from scheduler.clusters.models import Cluster, NodeOrder, Snapshot
from scheduler.clusters.words import node_order_text
from scheduler.jobs.models import Job
from tests.conftest import ClientOf
from tests.counting import QUERIES_MOST, queries_of
from tests.monitoring.reports.test_pages import text_of


def test_operators_see_all_and_one_with_its_evidence(operating: Client, finding: Finding, sick: Finding) -> None:
    text = text_of(operating.get(reverse("watching:list")).content)
    for words in (
        "huấn luyện",
        "2 of its 2 GPUs have done nothing for 30 minutes",
        "Sick GPU",
        "the driver has lost it",
    ):
        assert words in text, words
    text = text_of(operating.get(reverse("watching:finding", args=[finding.pk])).content)
    for words in ("What to do", "GPU-a", "No rule cancels it", "I see to it", "gpu001"):
        assert words in text, words
    assert "Take the node out" not in text
    assert queries_of(operating, reverse("watching:list")) <= QUERIES_MOST


def test_acknowledging_is_seen(operating: Client, finding: Finding, operator: User) -> None:
    address = reverse("watching:acknowledge", args=[finding.pk])
    assert "It is yours now" in text_of(operating.post(address, follow=True).content)
    finding.refresh_from_db()
    assert (finding.state, finding.acknowledged_by) == (Finding.State.ACKNOWLEDGED, operator)
    assert "Somebody sees to it already" in text_of(operating.post(address, follow=True).content)


def test_a_sick_gpu_s_node_is_taken_out_by_a_click_only(operating: Client, sick: Finding, cluster: Cluster) -> None:
    page = reverse("watching:finding", args=[sick.pk])
    assert "Take gpu001 out?" not in text_of(operating.get(page).content)  # no look shows it in service
    node = {"name": "gpu001", "state": "MIXED", "reason": "", "gpus": {"h100": 8}}
    Snapshot.objects.create(cluster=cluster, taken_at=now(), nodes=[node])
    assert "Take gpu001 out?" in text_of(operating.get(page).content)
    assert not NodeOrder.objects.exists()
    operating.post(reverse("watching:drain", args=[sick.pk]))
    order = NodeOrder.objects.get()
    assert (order.verb, order.node, order.seen) == ("drain", "gpu001", "saola: lost, xid 79 (GPU-a)")
    assert Message.objects.filter(topic="clusters.node_drain", queue="cluster.local").count() == 1
    order.state = NodeOrder.State.DONE
    assert node_order_text(order) in ("is taken out", "được đưa ra khỏi phục vụ")


def test_the_person_sees_it_on_the_job_s_page_and_above_the_list(
    client_of: ClientOf, researcher: User, second_researcher: User, finding: Finding, job: Job
) -> None:
    window = client_of(researcher)
    for address in (reverse("watching:job", args=[job.pk]), reverse("watching:mine")):
        assert "2 trong số 2 GPU của tác vụ không làm gì" in text_of(window.get(address).content)
    assert reverse("watching:job", args=[job.pk]) in window.get(reverse("jobs:job", args=[job.pk])).content.decode()
    assert reverse("watching:mine") in window.get(reverse("jobs:list")).content.decode()
    assert client_of(second_researcher).get(reverse("watching:mine")).status_code == 204
    version = f"{finding.pk}-0-opened"
    assert window.get(reverse("watching:job", args=[job.pk]) + f"?seen={version}").status_code == 204


def test_rules_are_set_and_taken_back(operating: Client, cluster: Cluster, operator: User) -> None:
    address = reverse("watching:rule_set")
    for cancels, count in (("yes", 1), ("no", 1), ("", 0)):
        operating.post(address, {"kind": "cluster", "of": cluster.name, "cancels": cancels})
        assert CancelRule.objects.count() == count
    assert operating.post(address, {"kind": "cluster", "of": cluster.name, "cancels": "maybe"}).status_code == 404
    assert "is told, never cancelled" in text_of(operating.get(reverse("watching:rules")).content)


def test_how_the_measuring_is_without_prometheus(
    operating: Client, cluster: Cluster, settings: Settings, django_assert_max_num_queries: object
) -> None:
    settings.PROMETHEUS_URL = "http://127.0.0.1:9"
    ago = now() - timedelta(seconds=90)
    Exporter.objects.create(cluster=cluster, node="gpu001", answered_at=ago, read_n=7, newest_n=12, lost_events=3)
    Exporter.objects.create(cluster=cluster, node="gpu002", failures=4, error="it does not answer: refused")
    text = text_of(operating.get(reverse("watching:measuring")).content)
    for words in ("Prometheus does not answer", "1 min 30 s ago", "it does not answer: refused", "never"):
        assert words in text, words
    assert "– 5 3" in text


def test_the_home_page_has_a_card_while_there_is_something(operating: Client, finding: Finding) -> None:
    assert "huấn luyện" in text_of(operating.get(reverse("watching:card")).content)
    Finding.objects.update(state=Finding.State.CLOSED, closed_at=now())
    assert operating.get(reverse("watching:card")).status_code == 204


def test_metrics_count_what_is_open(client: Client, finding: Finding, settings: Settings) -> None:
    headers = {"Authorization": f"Bearer {settings.METRICS_TOKEN}"}
    text = client.get("/metrics", headers=headers).content.decode()
    assert 'saola_findings_open{kind="idle_gpus"} 1.0' in text
    assert 'saola_findings_open{kind="sick_gpu"} 0.0' in text


@pytest.mark.parametrize("name", ["watching:list", "watching:rules", "watching:measuring"])
def test_an_auditor_reads_and_changes_nothing(client_of: ClientOf, auditor: User, name: str, cluster: Cluster) -> None:
    window = client_of(auditor)
    assert window.get(reverse(name)).status_code == 200
    posted = window.post(reverse("watching:rule_set"), {"kind": "cluster", "of": "local", "cancels": "yes"})
    assert posted.status_code == 404
