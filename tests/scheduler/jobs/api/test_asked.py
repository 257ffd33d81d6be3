"""What is asked of a job in Slurm, by the API: cancelled, held, released, given more time."""

import pytest

from scheduler.jobs.models import Order, Run
from scheduler.jobs.orders.words import order_words
from tests.quotas.makers import HOUR
from tests.scheduler.jobs.api.answers import errors
from tests.scheduler.jobs.stepping import attempt, cycle

pytestmark = pytest.mark.django_db


def test_what_is_asked_is_what_the_page_asks(program, job, slurm, at):
    job = attempt(job, slurm)
    held = program.post(at("order", "hold"))
    assert (held.status_code, held.json()["order"]) == (202, order_words(Order.objects.get()))
    assert Order.objects.get().verb == "hold"
    assert program.post(at("order", "hold")).status_code == 202  # asked twice is asked once
    assert Order.objects.count() == 1
    assert [error["code"] for error in errors(program.post(at("order", "release")), 409)] == ["impossible"]
    assert program.post(at("cancel")).status_code == 202
    job.refresh_from_db()
    assert job.cancel_requested_by == job.person


def test_more_time_is_asked_for_in_words(program, job, slurm, at):
    slurm.start(attempt(job, slurm).slurm_job_id)
    cycle(job, slurm)
    for wrong in ({}, {"time_limit": "soon"}, {"time_limit": 90}, {"time_limit": {"a": 1}}):
        assert errors(program.post(at("extend"), wrong))[0]["field"] == "time_limit"
    assert [error["code"] for error in errors(program.post(at("extend"), {"time_limit": "60h"}), 409)] == ["impossible"]
    assert program.post(at("extend"), {"time_limit": "3h"}).status_code == 202
    order = Order.objects.get()
    assert (order.verb, order.time_limit_s) == ("extend", 3 * HOUR)
    assert Run.objects.get().held_gpu_seconds == 2 * (3 * HOUR + 60)


def test_what_has_ended_is_not_cancelled(program, job, at):
    assert program.post(at("cancel")).json()["state"] == "cancelled"
    assert [error["code"] for error in errors(program.post(at("cancel")), 409)] == ["ended"]
