"""Anything at all through the API: an answer, and a script in which nothing stands that the person may not set.

The form's own test says what is sent and what a proper script is. Here comes what JSON can spell beside it: any type in
any field, names that are none, half letters, keys and addresses. Every job that comes of it goes through the submit
wrapper to an sbatch that tells what it was given: words of the centre's own, and the script as it was shown. SOAK=1
sends 10,000.
"""

import json
import re

import pytest
from django.core.cache import caches
from django.db import transaction
from django.urls import reverse
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from scheduler.jobs.chaining import Chaining
from scheduler.jobs.form.preset_fields import CODES, ENVIRONMENT_TITLES
from scheduler.jobs.models import Job
from scheduler.jobs.presets import presets
from tests.portal.api.programs import program_of
from tests.scheduler.jobs.api.vector import Recorder
from tests.scheduler.jobs.form.test_form_hostile import ANY, EXAMPLES, LINES, TEXT, proper
from tests.scheduler.jobs.makers import submit

pytestmark = pytest.mark.django_db

JOBS, ESTIMATE = reverse("jobs_v1:jobs"), reverse("jobs_v1:estimate")
NAMES = ["array", "after", "after_kind", "unsatisfied", "restarts", "checkpoint_lead", "allocation", "save_as", "key"]
NAMES += [
    "account",
    "qos",
    "uid",
    "reservation",
    "priority",
    "nodelist",
    "mode",
    "line_end",
    "data_sets",
    "__all__",
    "\0",
    "\ud800",
]
PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), TEXT, st.text(max_size=5), st.sampled_from(LINES)
)
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=5
)
ODD = st.dictionaries(
    st.one_of(st.sampled_from(NAMES), ANY.map(lambda known: next(iter(known), "x"))), VALUES, max_size=3
)
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
sending = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=QUIET)


OPTIONS = ["parsable", "export", "chdir", "output", "ignore-pbs", "comment", "job-name", "account", "qos", "partition"]
OPTIONS += ["nodes", "gres", "time"]


@pytest.fixture(scope="module")
def recorder():
    recorder = Recorder()
    yield recorder
    recorder.close()


@pytest.fixture
def program(submitter, settings):
    settings.API_REQUESTS_A_MINUTE = 10**9
    caches["redis"].clear()
    return program_of(submitter)


@sending
@given(
    slug=st.sampled_from(["", *sorted(presets())]),
    environment=st.sampled_from(sorted(ENVIRONMENT_TITLES)),
    code=st.sampled_from([name for name, _title in CODES]),
    typed=ANY,
    odd=st.one_of(st.just({}), ODD),
    script=st.one_of(
        st.just(""), TEXT, st.lists(TEXT, max_size=4).map(lambda lines: "\n".join(["#!/bin/bash", *lines]))
    ),
    key=st.one_of(st.just(""), st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=10)),
)
def test_anything_is_answered_and_orders_nothing(
    program, recorder, allocation, slug, environment, code, typed, odd, script, key
):
    body = {"allocation": allocation.pk, "name": "x", "gpus_per_node": 1, "nodes": 1, "time_limit": "1h"}
    typed = {name: value for name, value in typed.items() if name not in ("mode", "fix")}
    if slug:
        known = {one.name for one in presets()[slug].fields}
        body |= (
            {"preset": slug, "environment": environment, "code": code}
            if presets()[slug].has_blocks
            else {"preset": slug}
        )
        body |= {"program": "train.py"} if "program" in known else {}
        places = {"modules", "conda", "conda_base", "image", "mounts", "repository", "revision"}
        fields = known | (places if presets()[slug].has_blocks else set())
        typed = {name: value for name, value in typed.items() if name in {*fields, *body, "partition"}}
    else:
        typed = {name: value for name, value in typed.items() if name in {*body, "partition"}}
    sent = json.dumps(body | typed | {"script": script} | odd)
    headers = {"Idempotency-Key": key.encode().decode("latin-1")} if key else {}
    with transaction.atomic():
        seen = program.post(ESTIMATE, sent)
        assert seen.status_code in (200, 400)
        answer = program.post(JOBS, sent, headers=headers)
        assert answer.status_code in (201, 400, 422)
        assert Job.objects.count() == (answer.status_code == 201)
        start = presets()[slug].start if slug else ""
        if seen.status_code == 200 and not odd:
            told = seen.json()
            proper(told["script"], script, start, allocation)
            if answer.status_code != 400:
                assert told["fits"] == (answer.status_code == 201)
                assert told["errors"] == answer.json().get("errors", [])
        for error in answer.json().get("errors", []):
            assert error["code"]
            assert error["message"]
        for job in Job.objects.all():
            proper(job.script, script, start, allocation)
            harmless(recorder.given(job), job, allocation)
        event(f"{answer.status_code}, {'odd' if odd else 'typed'}")
        transaction.set_rollback(True)


@pytest.fixture
def array(submitter, allocation):
    return submit(submitter, allocation, chaining=Chaining(array="0-2"))


def harmless(given, job: Job, allocation) -> None:
    """The centre's own names, numbers, and the job's name as one word; and the script as it was shown."""
    values = dict(word.removeprefix("--").partition("=")[::2] for word in given.words)
    assert list(values)[:13] == OPTIONS
    assert set(list(values)[13:]) <= {"array", "dependency", "kill-on-invalid-dep", "signal", "requeue", "open-mode"}
    name = values.pop("job-name")
    assert name == job.name
    assert re.fullmatch(r"[^\W_][\w .,+:@()-]*", name)
    assert name.isprintable()
    for value in values.values():
        assert re.fullmatch(r"[A-Za-z0-9/._:,%@-]*", value)
    assert (values["account"], values["qos"]) == ("sl-mo-hinh-tieng-viet", allocation.qos)
    assert (values["comment"], values["partition"]) == (str(job.pk), "h100")
    assert values["gres"] == f"gpu:h100:{job.gpus_per_node}"
    assert given.script == job.script


@settings(max_examples=EXAMPLES // 5, deadline=None, suppress_health_check=QUIET)
@given(
    name=st.sampled_from(["state", "project", "mine", "cursor", "limit", "run", "p", "own"]),
    value=TEXT,
    body=st.one_of(st.binary(max_size=30), VALUES.map(lambda value: json.dumps({"time_limit": value}).encode())),
)
def test_any_address_and_body_is_answered(program, asked, job, array, name, value, body):
    value = value.encode("utf-8", "replace").decode()
    caches["redis"].clear()  # two files at once are a person's, and each of these is of another minute
    with transaction.atomic():
        for address in (
            JOBS,
            reverse("allocations_v1:allocations"),
            reverse("jobs_v1:log", args=[job.pk]),
            reverse("jobs_v1:file", args=[job.pk]),
            reverse("jobs_v1:tasks", args=[array.pk]),
        ):
            assert program.get(address, {name: value}).status_code in (200, 202, 400, 404, 409, 422)
        for address in (
            reverse("jobs_v1:extend", args=[job.pk]),
            reverse("jobs_v1:cancel", args=[job.pk]),
            reverse("jobs_v1:task_cancel", args=[array.pk, 1]),
        ):
            answer = program.post(address, body)
            assert answer.status_code in (202, 400, 409, 422)
        transaction.set_rollback(True)
