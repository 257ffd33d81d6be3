"""A real job that does nothing on the test stack's emulated GPUs, seen by its real exporters and Prometheus: it becomes
a finding and a mail, its page has charts, and where a rule says so the real Slurm ends it. One job for all of it."""

import time

import pytest
from django.conf import settings as stack
from django.urls import reverse
from pytest_django.fixtures import Settings

from monitoring.attribution.asking import events_ask, places
from monitoring.attribution.models import Exporter, Interval
from monitoring.attribution.services import exporters_pull, intervals_follow
from monitoring.rollups.prometheus import Prometheus
from monitoring.watching.models import Finding
from monitoring.watching.services import cancel_rule_set, watch
from portal.outbox.models import Message
from portal.people.models import User
from scheduler.jobs.models import Job
from scheduler.jobs.worker import submission
from tests.conftest import ClientOf
from tests.monitoring.reports.test_pages import text_of
from tests.scheduler.jobs.real import Real, place_in_slurm, real_project
from tests.scheduler.live import LiveSlurm, wait_for

pytestmark = [pytest.mark.slurm, pytest.mark.django_db]
WINDOW_S = 5
SCRIPT = """#!/bin/sh
echo idle > "$(LOGIN/saola-report --folder)/emulator-load"
sleep 600
"""


@pytest.fixture
def real(settings: Settings) -> Real:
    settings.WATCH_IDLE_WINDOW_S, settings.WATCH_STEP_S = WINDOW_S, 0
    with place_in_slurm() as place:
        yield real_project(place)


def exporters_begin() -> None:
    """As if every event until now had been read: other tests' jobs are nobody's here."""
    for place in places():
        page = events_ask(place.url, 10**15)
        Exporter.objects.create(
            cluster=place.cluster, node=place.node, spool=page.spool, spools=1, read_n=page.newest, newest_n=page.newest
        )


def test_an_idle_job_becomes_a_finding_a_mail_and_by_a_rule_its_end(
    real: Real, operator: User, client_of: ClientOf
) -> None:
    exporters_begin()
    login = f"{LiveSlurm().how['wrappers_dir'].rsplit('/', 1)[0]}/bin"
    job = real.submit(script=SCRIPT.replace("LOGIN", login), gpus_per_node=2)
    real.cycle_until(job, lambda one: one.state == Job.State.RUNNING)
    prometheus = Prometheus(stack.PROMETHEUS_URL)

    def found() -> Finding | None:
        exporters_pull()
        intervals_follow()
        watch(prometheus)
        return Finding.objects.filter(kind=Finding.Kind.IDLE, job=job).first()

    finding = wait_for("the finding", found, 40)
    interval = Interval.objects.filter(job_id_raw=job.slurm_job_id).first()
    assert interval is not None
    assert interval.charged_from is not None
    assert (finding.opened_at - interval.charged_from).total_seconds() >= WINDOW_S
    assert (finding.evidence["found"], finding.evidence["gpus"]) == (2, 2)
    told = Message.objects.get(topic="mail.send", key=f"finding {finding.pk} 1 {real.person.pk}")
    assert told.payload["to"] == ["real@example.vn"]
    assert f"/jobs/{job.pk}/" in told.payload["body"]

    window = client_of(real.person)
    text = text_of(window.get(reverse("gpus:job", args=[job.pk])).content)
    assert "Mô phỏng" in text
    assert interval.node in text

    cancel_rule_set(cluster=real.cluster, cancels=True, person=operator)
    deadline = time.monotonic() + 20
    while not Message.objects.filter(topic="jobs.cancel").exists():
        assert time.monotonic() < deadline
        watch(prometheus)
    job.refresh_from_db()
    submission.cancel(job, adapter=real.adapter)
    assert real.ended(job) == "CANCELLED"
    assert job.reason.startswith("portal:idle_gpus minutes=")
