"""What the form and the pages do, through the API: the same answers, and the same job."""

from collections import Counter
from html import unescape
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from portal.clock import now
from quotas.ledger.models import Transfer
from scheduler.jobs.models import Dependency, Job, Run, SubmissionKey
from scheduler.jobs.presets import presets
from scheduler.jobs.services import job_cancel
from scheduler.jobs.tasks import KEYS_KEPT, submission_keys_forget
from tests import factories
from tests.counting import QUERIES_MOST, queries_of
from tests.portal.api.programs import Program, program_of, token_for
from tests.quotas.makers import HOUR, award, balance, programme, tariff
from tests.scheduler.datasets.makers import named, offered
from tests.scheduler.jobs.api.answers import errors
from tests.scheduler.jobs.makers import SCRIPT, submit
from tests.scheduler.jobs.stepping import attempt, cycle
from tests.scheduler.jobs.test_concurrency import at_once

pytestmark = pytest.mark.django_db

JOBS, ESTIMATE, NEW = reverse("jobs_v1:jobs"), reverse("jobs_v1:estimate"), reverse("jobs:new")
SUBMISSION_QUERIES_MOST = 30


@pytest.fixture
def body(allocation) -> dict[str, object]:
    return {
        "allocation": allocation.pk,
        "name": "train",
        "gpus_per_node": 2,
        "nodes": 1,
        "time_limit": "1h",
        "script": SCRIPT,
    }


# --- submitting ---------------------------------------------------------------------------------------------------


def test_it_is_the_job_that_the_form_makes(program, client_of, submitter, body, allocation):
    answer = program.post(JOBS, body)
    assert answer.status_code == 201
    assert client_of(submitter).post(NEW, body | {"key": uuid4(), "preset": ""}).status_code == 302
    ours, forms = Job.objects.order_by("created_at")
    assert (answer.json()["id"], answer.headers["Location"]) == (str(ours.pk), reverse("jobs_v1:job", args=[ours.pk]))
    same = ["script", "filled", "partition", "gpu_type", "nodes", "gpus_per_node", "time_limit_s", "allocation_id"]
    same += ["project_id", "person_id", "unix_account", "preset", "array", "name", "state"]
    assert [getattr(ours, name) for name in same] == [getattr(forms, name) for name in same]
    assert len(set(Run.objects.values_list("held_gpu_seconds", flat=True))) == 1
    assert ours.events.first().pgh_context["user"] == submitter.pk
    assert ours.events.first().pgh_context["token"] == submitter.api_tokens.get().pk


@pytest.mark.parametrize(
    "wrong",
    [
        {"allocation": 10**12},
        {"allocation": "x"},
        {"name": "-rf"},
        {"name": ""},
        {"gpus_per_node": 9},
        {"nodes": "many"},
        {"nodes": 4},
        {"time_limit": "90"},
        {"time_limit": "47h", "gpus_per_node": 8},
        {"partition": "cpu"},
        {"script": "#!/bin/bash\n#SBATCH --account=other\n"},
        {"preset": "nothing"},
        {"array": "9-1"},
        {"restarts": 3},
        {"name": "", "nodes": 9, "array": "x"},
    ],
    ids=str,
)
def test_what_is_wrong_is_said_as_the_form_says_it(program, client_of, submitter, body, wrong):
    """The same words beside the same fields, whether it is estimated, submitted, or typed into the form."""
    sent = body | wrong
    said = errors(program.post(JOBS, sent))
    assert said
    assert all(error["code"] and error["message"] for error in said)
    estimate = program.post(ESTIMATE, sent).json()
    assert (estimate["fits"], estimate["errors"]) == (False, said)
    window = client_of(submitter)
    window.cookies["django_language"] = submitter.language
    page = window.post(NEW, sent | {"key": uuid4()})
    assert page.status_code == 422
    forms = {
        (field, str(message))
        for form in (page.context["form"], page.context["chaining"])
        for field, messages in form.errors.items()
        for message in messages
    }
    shown = page.content.decode()
    for error in said:
        beside = (error["field"] or "__all__", error["message"])
        assert beside in forms or error["field"] == "preset" or unescape(error["message"]) in unescape(shown)
    assert {message for _field, message in forms} <= {error["message"] for error in said}
    assert not Job.objects.exists()


@pytest.mark.parametrize("slug", presets())
def test_every_preset_can_be_submitted_with_little(program, allocation, slug):
    known = {"program": "train.py", "data": "/data/corpus_text_document"}
    fields = {one.name for one in presets()[slug].fields}
    sent = {"allocation": allocation.pk, "preset": slug, "nodes": 1, "time_limit": "1h"}
    sent |= {name: value for name, value in known.items() if name in fields}
    answer = program.post(JOBS, sent)
    assert answer.status_code == 201, answer.content
    assert (Job.objects.get().preset, answer.json()["name"]) == (slug, slug)


def test_every_preset_is_listed_with_its_fields(program):
    listed = {one["slug"]: one for one in program.get(reverse("jobs_v1:presets")).json()["presets"]}
    assert list(listed) == list(presets())
    for slug, preset in presets().items():
        assert [field["name"] for field in listed[slug]["fields"]] == [field.name for field in preset.fields]


def test_a_field_that_is_none_is_not_ignored(program, body):
    for name in ("gpu_per_node", "account", "qos", "uid", "priority", "nodelist", "key", "mode"):
        [error] = errors(program.post(JOBS, body | {name: "x"}))
        assert (error["code"], error["field"]) == ("unknown_field", name)
    for name, value in (
        ("name", {"a": 1}),
        ("nodes", [1]),
        ("nodes", True),
        ("nodes", 1.5),
        ("after", "x"),
        ("data_sets", 1),
    ):
        assert ("type", name) in {
            (one["code"], one["field"]) for one in errors(program.post(JOBS, body | {name: value}))
        }
    assert program.post(JOBS, body | {"partition": None, "array": None}).status_code == 201


def test_jobs_wait_for_jobs_and_arrays_are_held_for_whole(program, body, job, allocation):
    answer = program.post(JOBS, body | {"after": [str(job.pk)], "after_kind": "afterany", "array": "0-3%2"})
    assert answer.status_code == 201, answer.content
    made = Job.objects.get(pk=answer.json()["id"])
    assert (made.array, made.runs.count()) == ("0-3%2", 4)
    assert Dependency.objects.get().on == job


def test_data_sets_are_those_that_the_form_offers(program, submitter, body, cluster, project, other_project):
    ours = offered(cluster, members=("minh",), **named(projects=[project]))
    theirs = offered(cluster, "cua-ho", name="Của họ", members=("minh",), **named(projects=[other_project]))
    for one in (program, program_of(submitter, project=project)):
        [listed] = one.get(reverse("jobs_v1:data_sets")).json()["results"]
        assert (listed["id"], listed["path"]) == (ours.pk, ours.path)
    [error] = errors(program.post(JOBS, body | {"data_sets": [ours.pk, theirs.pk]}))
    assert error["field"] == "data_sets"
    assert program.post(ESTIMATE, body | {"data_sets": [theirs.pk]}).json()["errors"] == [error]
    made = program.post(JOBS, body | {"data_sets": [ours.pk]}).json()
    assert f"={ours.path}\n" in Job.objects.get(pk=made["id"]).script


def test_an_estimate_says_what_the_form_shows_and_writes_nothing(program, body, allocation):
    tariff("h100", 50_000)
    before = (Job.objects.count(), Transfer.objects.count())
    told = program.post(ESTIMATE, body).json()
    assert told["fits"] is True
    assert told["errors"] == []
    assert told["cost_gpu_seconds"] == 2 * HOUR
    assert told["hold_gpu_seconds"] == 2 * (HOUR + 60)
    assert told["free_after_gpu_seconds"] == balance(allocation).free - 2 * (HOUR + 60)
    assert (told["worth_vnd"], told["partition"], told["gpu_type"]) == (100_000, "h100", "h100")
    assert "#SBATCH --account=sl-mo-hinh-tieng-viet" in told["script"]
    tight = program.post(ESTIMATE, body | {"gpus_per_node": 8, "time_limit": "40h"}).json()
    assert tight["fits"] is False
    [error] = tight["errors"]
    assert error["code"] == "balance"
    assert error["fixes"][0]["field"] == "time_limit"
    assert program.post(ESTIMATE, body | {"gpus_per_node": 8, "time_limit": error["fixes"][0]["value"]}).json()["fits"]
    assert (Job.objects.count(), Transfer.objects.count()) == before


def test_a_submission_asks_few_queries_and_no_session(program, body):
    program.post(JOBS, body)
    with CaptureQueriesContext(connection) as asked:
        assert program.post(JOBS, body).status_code == 201
    assert not [query["sql"] for query in asked if "django_session" in query["sql"]]
    assert len(asked) <= SUBMISSION_QUERIES_MOST


# --- the same request twice ---------------------------------------------------------------------------------------


def test_a_request_sent_again_is_the_same_job(program, body):
    first = program.post(JOBS, body, headers={"Idempotency-Key": "one"})
    again = program.post(JOBS, body, headers={"Idempotency-Key": "one"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    other = program.post(JOBS, body | {"name": "other"}, headers={"Idempotency-Key": "one"})
    assert [error["code"] for error in errors(other, 409)] == ["idempotency_key_used"]
    assert program.post(JOBS, body, headers={"Idempotency-Key": "two"}).status_code == 201
    assert program.post(JOBS, body).status_code == 201  # without a key each is one
    assert program.post(JOBS, body, headers={"Idempotency-Key": "a b"}).status_code == 400
    assert Job.objects.count() == 3


def test_a_key_is_its_persons_and_a_refused_request_keeps_none(program, second_researcher, body):
    assert program.post(JOBS, body | {"nodes": 99}, headers={"Idempotency-Key": "one"}).status_code == 422
    assert program.post(JOBS, body, headers={"Idempotency-Key": "one"}).status_code == 201
    other = program_of(second_researcher)
    assert other.post(JOBS, body, headers={"Idempotency-Key": "one"}).status_code == 201
    assert Job.objects.count() == SubmissionKey.objects.count() == 2


def test_keys_are_forgotten_in_time(program, body):
    for key in ("old", "new"):
        program.post(JOBS, body, headers={"Idempotency-Key": key})
    SubmissionKey.objects.filter(key="old").update(created_at=now() - 2 * KEYS_KEPT)
    assert submission_keys_forget() == 1
    assert SubmissionKey.objects.get().key == "new"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("balance_for", [1, 20])
def test_ten_at_once_with_one_key_are_one_job(submitter, project, cluster, balance_for):
    allocation = award(project, programme(), gpu_seconds=balance_for * (HOUR + cluster.overshoot_s))
    body = {"allocation": allocation.pk, "name": "x", "gpus_per_node": 1, "nodes": 1, "time_limit": "1h"}
    known = {"Authorization": f"Bearer {token_for(submitter)}"}

    def send(number):
        # The last of them is another job under the same key.
        sent = body | {"script": SCRIPT if number < 9 else f"{SCRIPT}true\n"}
        made = Program(headers=known).post(JOBS, sent, headers={"Idempotency-Key": "one"})
        return made.status_code, made.json().get("id")

    outcomes = at_once(10, send)
    assert Job.objects.count() == SubmissionKey.objects.count() == 1
    assert {made for _status, made in outcomes} - {None} == {str(Job.objects.get().pk)}
    statuses = Counter(status for status, _made in outcomes)
    assert statuses[201] == 1
    assert statuses[200] + statuses[409] == 9
    assert Transfer.objects.filter(kind=Transfer.Kind.HOLD).count() == 1


# --- one project only ---------------------------------------------------------------------------------------------


def test_to_a_token_of_one_project_nothing_else_exists(submitter, organisation, project, allocation, body, cluster):
    second = factories.project("Dự án hai", "du-an-hai", of=organisation)
    factories.project_member(submitter, second)
    elsewhere = award(second, allocation.voucher.programme)
    job, other = submit(submitter, allocation), submit(submitter, elsewhere)
    program = program_of(submitter, project=project)
    assert [row["id"] for row in program.get(JOBS).json()["results"]] == [str(job.pk)]
    for name in ("job", "log", "files"):
        assert program.get(reverse(f"jobs_v1:{name}", args=[job.pk])).status_code == 200
        assert program.get(reverse(f"jobs_v1:{name}", args=[other.pk])).status_code == 404
    assert program.post(reverse("jobs_v1:cancel", args=[other.pk])).status_code == 404
    assert program.get(f"{JOBS}?project=du-an-hai").status_code == 404
    [error] = errors(program.post(JOBS, body | {"allocation": elsewhere.pk}))
    assert (error["field"], error["message"]) == (
        "allocation",
        errors(program.post(JOBS, body | {"allocation": 10**9}))[0]["message"],
    )
    listed = {name: program.get(reverse(f"allocations_v1:{name}")).json() for name in ("projects", "allocations")}
    assert [row["slug"] for row in listed["projects"]["results"]] == [project.slug]
    assert [row["id"] for row in listed["allocations"]["results"]] == [allocation.pk]
    assert program.get(reverse("allocations_v1:project", args=["du-an-hai"])).status_code == 404
    whole = program_of(submitter)
    made = whole.post(JOBS, body | {"allocation": elsewhere.pk}, headers={"Idempotency-Key": "one"})
    assert made.status_code == 201
    again = program.post(JOBS, body | {"allocation": elsewhere.pk}, headers={"Idempotency-Key": "one"})
    assert again.status_code == 404


# --- reading ------------------------------------------------------------------------------------------------------


def test_a_list_comes_in_pages_that_neither_lose_nor_repeat(program, submitter, allocation):
    made = [str(submit(submitter, allocation, gpus_per_node=1, time_limit_s=600).pk) for _ in range(7)]
    Job.objects.update(created_at=now())  # all at the same moment: the id decides
    seen, url = [], f"{JOBS}?limit=3"
    while url:
        page = program.get(url).json()
        seen += [row["id"] for row in page["results"]]
        if len(seen) == 3:
            made_late = submit(submitter, allocation, gpus_per_node=1, time_limit_s=600)
        url = page["next"]
    assert sorted(seen) == sorted(made)
    assert str(made_late.pk) not in seen
    for wrong in ("limit=0", "limit=201", "limit=x", "cursor=x", "cursor=WzEsMl0", "cursor=e30"):
        assert [error["field"] for error in errors(program.get(f"{JOBS}?{wrong}"))] == [wrong.partition("=")[0]]


def test_a_list_is_filtered_as_the_page_is(program, submitter, second_researcher, allocation, project):
    mine, other = submit(submitter, allocation), submit(second_researcher, allocation)
    job_cancel(job_id=mine.pk, person=submitter)

    def listed(query: str) -> set[str]:
        return {row["id"] for row in program.get(f"{JOBS}?{query}").json()["results"]}

    assert listed("") == {str(mine.pk), str(other.pk)}
    assert listed("mine=1") == listed("state=ended") == listed("state=cancelled") == {str(mine.pk)}
    assert listed("state=open") == {str(other.pk)}
    assert listed(f"project={project.slug}") == {str(mine.pk), str(other.pk)}
    assert listed("project=nowhere") == listed("state=nothing") == set()


def test_reading_asks_the_database_little_however_much_there_is(program, submitter, allocation):
    job = submit(submitter, allocation)
    addresses = [JOBS, reverse("jobs_v1:job", args=[job.pk]), reverse("allocations_v1:allocations")]
    addresses += [reverse("allocations_v1:projects"), reverse("jobs_v1:presets")]
    few = [queries_of(program, address) for address in addresses]
    for _ in range(5):
        submit(submitter, allocation, gpus_per_node=1, time_limit_s=600)
    assert [queries_of(program, address) for address in addresses] == few
    assert max(few) <= QUERIES_MOST


def test_a_job_is_shown_with_its_script_runs_and_charge(program, job, slurm, at):
    slurm.start(attempt(job, slurm).slurm_job_id)
    cycle(job, slurm)
    shown = program.get(at("job")).json()
    assert shown["script"] == job.script
    assert [run["gpus"] for run in shown["runs"]] == [2]
    assert shown["charge"]["held"] == 2 * (HOUR + 60)
    assert (shown["state"], shown["possible"]) == ("running", ["cancel", "extend", "requeue"])
    assert shown["page"].endswith(f"/jobs/{job.pk}/")


def test_balances_are_those_of_the_page(program, allocation, job, project):
    [row] = program.get(reverse("allocations_v1:allocations") + "?own=1").json()["results"]
    known = balance(allocation)
    assert row["balance"] == {
        name: getattr(known, name)
        for name in ("granted", "overrun", "consumed", "held", "remaining", "expired", "free")
    }
    assert row["balance"]["held"] == 2 * (HOUR + 60)
    whole = program.get(reverse("allocations_v1:project", args=[project.slug])).json()
    assert (whole["may_submit"], whole["allocations"]) == (True, [row])


# --- log and files ------------------------------------------------------------------------------------------------


def test_log_and_files_come_with_a_later_look(program, job, slurm, at, work):
    job = attempt(job, slurm)
    slurm.start(job.slurm_job_id)
    cycle(job, slurm)
    slurm.files[f"slurm-{job.slurm_job_id}.out",] = b"step 1\n"
    slurm.files["out", "loss.csv"] = b"1,2\n"
    for name in ("log", "files"):
        coming = program.get(at(name))
        assert (coming.status_code, coming.headers["Retry-After"]) == (202, "2")
    assert program.get(at("file") + "?p=out&p=loss.csv").status_code == 202
    work()
    log = program.get(at("log"))
    assert (log.status_code, log.json()["state"], log.json()["text"]) == (200, "text", "step 1\n")
    assert ["out", "loss.csv"] in [entry["path"] for entry in program.get(at("files")).json()["entries"]]
    file = program.get(at("file") + "?p=out&p=loss.csv")
    assert (file.status_code, file.content) == (200, b"1,2\n")
    assert file.headers["Content-Disposition"].startswith("attachment")
    assert errors(program.get(at("file")))[0]["field"] == "p"
    program.get(at("file") + "?p=none")
    work()
    assert [error["code"] for error in errors(program.get(at("file") + "?p=none"), 409)] == ["absent"]
