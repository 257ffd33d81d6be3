"""Findings come, are told step by step, and go. In PostgreSQL; on the real cluster: test_real.py."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from pytest_django.fixtures import Settings

from monitoring.watching import services
from monitoring.watching.core import Verdict
from monitoring.watching.evidence import Sight
from monitoring.watching.models import CancelRule, Finding
from monitoring.watching.services import cancel_rule_set, finding_acknowledge, watch
from portal.clock import now
from portal.outbox.models import Message
from portal.people.models import User
from quotas.programmes.models import Programme
from scheduler.clusters.models import Cluster
from scheduler.jobs.models import Job
from scheduler.jobs.timeline import timeline_of
from tests.monitoring.watching.conftest import idle_sight, sick_sight

Look = Callable[..., None]
State = Finding.State


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Look:
    """One look of the watch: `look(minutes, sight, …)`, so long after the first."""
    began = now()

    def at(minutes: float, *seen: Sight) -> None:
        moment: datetime = began + timedelta(minutes=minutes)
        monkeypatch.setattr(services, "now", lambda: moment)
        monkeypatch.setattr(services, "sights", lambda prometheus, moment: list(seen))
        watch(None)

    return at


def mails() -> list[tuple[str, str]]:
    rows = Message.objects.filter(topic="mail.send", key__startswith="finding").order_by("pk")
    return [(row.payload["to"][0], row.payload["subject"]) for row in rows]


def test_the_person_is_told_then_the_project_and_nothing_is_cancelled_without_a_rule(
    look: Look, job: Job, pi: User, operator: User
) -> None:
    for minutes in range(0, 300, 10):
        look(minutes, idle_sight(job))
    assert [to for to, _subject in mails()] == ["minh@sao-mai.example", "minh@sao-mai.example", "hoa@sao-mai.example"]
    finding = Finding.objects.get()
    assert (finding.warned, finding.state) == (Finding.PROJECT, State.NOTIFIED)
    job.refresh_from_db()
    assert job.cancel_requested_at is None


@pytest.mark.parametrize("of", ["cluster", "programme"])
def test_where_a_rule_says_so_it_is_cancelled_in_the_end_with_its_reason(
    look: Look, job: Job, cluster: Cluster, programme: Programme, pi: User, operator: User, of: str
) -> None:
    cancel_rule_set(**{of: cluster if of == "cluster" else programme}, cancels=True, person=operator)
    for minutes in (0, 59, 61, 119, 122):
        look(minutes, idle_sight(job))
    job.refresh_from_db()
    assert job.cancel_requested_at is not None
    assert job.cancel_requested_by is None
    assert job.reason == "portal:idle_gpus minutes=152"
    assert Message.objects.filter(topic="jobs.cancel").count() == 1
    assert any("trung tâm" in step.text or "centre" in step.text for step in timeline_of(job))
    assert "đã bị hủy" in mails()[-1][1]
    event = job.events.order_by("-pgh_id").first()  # type: ignore[attr-defined]
    assert event.pgh_context["process"] == "worker:watching"
    look(130, idle_sight(job))
    assert len(mails()) == 5


def test_a_programme_may_say_otherwise_than_its_cluster(
    look: Look, job: Job, cluster: Cluster, programme: Programme, operator: User
) -> None:
    cancel_rule_set(cluster=cluster, cancels=True, person=operator)
    cancel_rule_set(programme=programme, cancels=False, person=operator)
    for minutes in range(0, 300, 30):
        look(minutes, idle_sight(job))
    job.refresh_from_db()
    assert job.cancel_requested_at is None
    cancel_rule_set(programme=programme, cancels=None, person=operator)
    assert CancelRule.objects.get().cluster == cluster
    look(301, idle_sight(job))
    job.refresh_from_db()
    assert job.cancel_requested_at is not None


@pytest.mark.parametrize("facts", [{"array": "0-3"}, {"all": False}])
def test_what_works_beside_it_is_not_cancelled(
    look: Look, job: Job, cluster: Cluster, operator: User, facts: dict[str, object]
) -> None:
    """An array's other tasks, a job's other GPUs."""
    cancel_rule_set(cluster=cluster, cancels=True, person=operator)
    Job.objects.filter(pk=job.pk).update(array=facts.get("array", ""))
    sight = idle_sight(job)
    sight = replace(sight, evidence=sight.evidence | {"all": facts.get("all", True)})
    for minutes in range(0, 300, 30):
        look(minutes, sight)
    job.refresh_from_db()
    assert job.cancel_requested_at is None
    assert Finding.objects.get().warned == Finding.PROJECT


def test_who_acknowledges_stops_every_further_step(look: Look, job: Job, cluster: Cluster, operator: User) -> None:
    cancel_rule_set(cluster=cluster, cancels=True, person=operator)
    look(0, idle_sight(job))
    finding = Finding.objects.get()
    assert finding_acknowledge(finding_id=finding.pk, person=operator)
    assert not finding_acknowledge(finding_id=finding.pk, person=operator)
    for minutes in range(60, 400, 60):
        look(minutes, idle_sight(job))
    assert len(mails()) == 1
    job.refresh_from_db()
    assert job.cancel_requested_at is None


def test_it_closes_after_a_window_without_it_and_comes_again_as_another(look: Look, job: Job) -> None:
    look(0, idle_sight(job))
    for minutes in (10, 20, 39):
        look(minutes, idle_sight(job, Verdict.NO))
    assert Finding.objects.get().state == State.NOTIFIED
    look(41, idle_sight(job, Verdict.NO))
    assert Finding.objects.get().closed_at is not None
    look(80, idle_sight(job))
    assert [finding.state for finding in Finding.objects.order_by("pk")] == [State.CLOSED, State.NOTIFIED]


def test_a_pause_without_telemetry_closes_nothing_and_the_end_of_the_job_closes_at_once(look: Look, job: Job) -> None:
    look(0, idle_sight(job))
    for minutes in range(10, 200, 10):
        look(minutes)  # Prometheus is away
    assert Finding.objects.get().is_open
    Job.objects.filter(pk=job.pk).update(state=Job.State.COMPLETED)
    look(201)
    assert not Finding.objects.get().is_open


def test_looking_twice_tells_nobody_twice(look: Look, job: Job, operator: User, cluster: Cluster) -> None:
    for _again in range(3):
        look(0, idle_sight(job), sick_sight(cluster))
    assert Finding.objects.count() == 2
    assert sorted(to for to, _subject in mails()) == ["an@centre.example", "minh@sao-mai.example"]


def test_each_is_told_in_their_own_language_with_the_next_step(
    look: Look, job: Job, researcher: User, operator: User, cluster: Cluster, settings: Settings
) -> None:
    User.objects.filter(pk=operator.pk).update(language="en")
    look(0, idle_sight(job), sick_sight(cluster))
    by_person = {row.payload["to"][0]: row.payload for row in Message.objects.filter(topic="mail.send")}
    own = by_person["minh@sao-mai.example"]
    assert own["subject"] == "GPU của tác vụ “huấn luyện” của bạn không làm gì"
    assert "2 trong số 2 GPU" in own["body"]
    assert "Cần làm gì: " in own["body"]
    assert f"{settings.SITE_URL}/jobs/{job.pk}/" in own["body"]
    centre = by_person["an@centre.example"]
    assert centre["subject"] == "Sick GPU: gpu001"
    assert "the driver has lost it, XID 79" in centre["body"]
    assert "What to do: Take the node out" in centre["body"]
