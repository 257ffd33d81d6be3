from uuid import uuid4

import pytest
from django.urls import reverse

from portal.clock import now
from scheduler.jobs.models import Job, Run
from scheduler.jobs.presets import presets
from scheduler.jobs.script import strip_block
from scheduler.jobs.states import portal_reason, slurm_reason
from tests.counting import QUERIES_MOST, queries_of
from tests.quotas.makers import HOUR, award, balance, programme
from tests.scheduler.jobs.makers import SCRIPT, submit

pytestmark = pytest.mark.django_db

NEW, PREVIEW, LIST = (reverse(f"jobs:{name}") for name in ("new", "preview", "list"))


@pytest.fixture
def window(client_of, submitter):
    client = client_of(submitter)
    client.cookies["django_language"] = "en"
    return client


@pytest.fixture
def filled(allocation) -> dict[str, object]:
    """The form as a person fills it in."""
    return {
        "key": str(uuid4()),
        "allocation": allocation.pk,
        "name": "train",
        "gpus_per_node": 2,
        "nodes": 1,
        "time_limit": "1h",
        "script": SCRIPT,
    }


def errors(response) -> dict[str, list[str]]:
    assert response.status_code == 422
    assert Job.objects.count() == 0
    return response.context["form"].errors


# --- the form -----------------------------------------------------------------------------------------------------


def test_it_offers_the_projects_allocations_with_what_is_left(window, allocation):
    page = window.get(NEW).content.decode()
    assert "Mô hình tiếng Việt · H100 · 100 GPU-hours left, until 31 Dec 2099" in page


def test_a_first_job_is_hello_gpu_and_a_later_one_is_not(window, submitter, allocation):
    assert window.get(NEW).context["form"].initial["preset"] == "hello-gpu"
    submit(submitter, allocation)
    assert "preset" not in window.get(NEW).context["form"].initial


def test_it_submits(window, filled, allocation, submitter):
    response = window.post(NEW, filled)
    job = Job.objects.get()
    assert response.status_code == 302
    assert response.url == reverse("jobs:job", args=[job.pk])
    assert (job.person, job.name, job.time_limit_s, job.allocation) == (submitter, "train", HOUR, allocation)
    assert balance(allocation).held == 2 * (HOUR + 60)


def test_a_double_click_makes_one_job(window, filled):
    first, second = window.post(NEW, filled), window.post(NEW, filled)
    assert first.url == second.url
    assert Job.objects.count() == 1


def test_a_preset_needs_no_script(window, filled):
    window.post(NEW, filled | {"preset": "hello-gpu", "script": ""})
    job = Job.objects.get()
    assert (job.preset, "CUDA_VISIBLE_DEVICES" in job.script) == ("hello-gpu", True)


def test_an_edited_preset_is_the_persons_own(window, filled):
    window.post(NEW, filled | {"preset": "hello-gpu"})
    assert Job.objects.get().preset == ""


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"gpus_per_node": "0"}, "gpus_per_node"),
        ({"gpus_per_node": "10000"}, "gpus_per_node"),
        ({"gpus_per_node": "9" * 30}, "gpus_per_node"),
        ({"gpus_per_node": "two"}, "gpus_per_node"),
        ({"gpus_per_node": ""}, "gpus_per_node"),
        ({"nodes": "0"}, "nodes"),
        ({"nodes": "-1"}, "nodes"),
        ({"time_limit": "365d"}, "time_limit"),
        ({"time_limit": "1 year"}, "time_limit"),
        ({"time_limit": "8760h"}, "time_limit"),
        ({"time_limit": "9999999999h"}, "time_limit"),
        ({"time_limit": "1:30"}, "time_limit"),
        ({"time_limit": ""}, "time_limit"),
        ({"script": ""}, "script"),
        ({"script": "#!/bin/bash\necho \0\n"}, "script"),
        ({"script": "#!/bin/bash\r\necho\r\n"}, "script"),
        ({"script": "#!/bin/bash\r\necho\r\n", "line_end": "a\nb"}, "script"),
        ({"script": "#!/bin/bash\necho\rx\n"}, "script"),
        ({"script": "#!/bin/bash\n" + "#" * 1_048_577 + "\ntrue\n"}, "script"),
        ({"script": "#!/bin/bash\n#SBATCH --array=1-100\ntrue\n"}, "script"),
        ({"script": "#!/bin/bash\n#SBATCH --exclusive\ntrue\n"}, "script"),
        ({"script": "#!/bin/bash\n#PBS -l nodes=4\ntrue\n"}, "script"),
        ({"script": "#!/bin/bash\n#BSUB -n 4\ntrue\n"}, "script"),
        ({"script": "#!/usr/bin/env python3\nprint(1)\n"}, "script"),
        ({"name": ""}, "name"),
        ({"name": 'x"; rm -rf /'}, "name"),
        ({"name": "x'y"}, "name"),
        ({"name": "x\ny"}, "name"),
        ({"name": "x\0y"}, "name"),
        ({"name": "$(id)"}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"allocation": ""}, "allocation"),
        ({"allocation": "999999"}, "allocation"),
        ({"allocation": "1 OR 1=1"}, "allocation"),
        ({"allocation": "-1"}, "allocation"),
        ({"preset": "../../etc/passwd", "script": ""}, "preset"),
        ({"key": "not a key"}, "key"),
    ],
)
def test_bad_input_is_said_beside_its_field(window, filled, changes, field):
    assert field in errors(window.post(NEW, filled | changes))


def test_the_message_stands_beside_the_field_on_the_page(window, filled):
    page = window.post(NEW, filled | {"gpus_per_node": "10000"}).content.decode()
    assert 'aria-describedby="id_gpus_per_node_error"' in page
    assert "has 8 GPUs; you ask for 10000 on each" in page


def test_what_a_browser_makes_of_line_ends_is_undone(window, filled):
    typed = SCRIPT.replace("\n", "\r\n")
    assert window.post(NEW, filled | {"script": typed, "line_end": "a\r\nb"}).status_code == 302
    assert "\r" not in Job.objects.get().script


def test_another_organisations_allocation_does_not_exist(window, filled, other_project):
    theirs = award(other_project, programme("other"))
    message = errors(window.post(NEW, filled | {"allocation": theirs.pk}))["allocation"]
    assert message == ["Choose an allocation of one of your projects."]


def test_a_manager_sees_the_allocation_and_cannot_run_on_it(client_of, organisation_manager, filled):
    assert "allocation" in errors(client_of(organisation_manager).post(NEW, filled))


def test_one_click_sets_the_field_and_submits_nothing(window, filled):
    response = window.post(NEW, filled | {"gpus_per_node": "10000", "fix": "gpus_per_node=8"})
    assert response.status_code == 200
    assert response.context["form"].initial["gpus_per_node"] == "8"
    assert response.context["form"].initial["name"] == "train"
    assert Job.objects.count() == 0


def test_one_click_changes_no_other_field(window, filled):
    response = window.post(NEW, filled | {"fix": "name=other"})
    assert response.context["form"].initial["name"] == "train"


def test_choosing_a_preset_fills_the_form(window, filled):
    response = window.post(NEW, filled | {"script": "", "fix": "preset=hello-gpu"})
    assert strip_block(response.context["form"].initial["script"]) == presets()["hello-gpu"].script


def test_running_again_fills_the_form_with_the_jobs_own_lines(window, submitter, allocation):
    job = submit(submitter, allocation, nodes=2, name="again and again")
    initial = window.get(NEW, {"again": job.pk}).context["form"].initial
    assert (initial["name"], initial["nodes"], initial["time_limit"]) == ("again and again", 2, "1h")
    assert initial["script"] == job.script


def test_another_persons_job_cannot_be_read_through_the_form(client_of, other_researcher, submitter, allocation):
    job = submit(submitter, allocation)
    assert client_of(other_researcher).get(NEW, {"again": job.pk}).status_code == 404


# --- the preview --------------------------------------------------------------------------------------------------


def test_it_shows_cost_balance_and_script(window, filled):
    page = window.post(PREVIEW, filled).content.decode()
    assert "It fits." in page
    assert "2.03 GPU-hours are reserved" in page
    assert "#SBATCH --gres=gpu:h100:2" in page
    assert "export SLURM_EXPORT_ENV=ALL" in page
    assert Job.objects.count() == 0


def test_it_names_the_limit_and_offers_what_fits(window, filled):
    page = window.post(PREVIEW, filled | {"gpus_per_node": 8, "time_limit": "20h"}).content.decode()
    assert "The longest time that fits is 12 hours 29 minutes" in page
    assert 'value="time_limit=12h29m"' in page


@pytest.mark.parametrize("missing", ["name", "allocation", "gpus_per_node", "nodes", "time_limit", "script", "key"])
def test_a_half_filled_form_is_no_error(window, filled, missing):
    assert window.post(PREVIEW, filled | {missing: ""}).status_code == 200


def test_a_script_that_is_refused_is_said_while_the_cost_still_shows(window, filled):
    page = window.post(PREVIEW, filled | {"script": "#!/bin/bash\n#SBATCH --array=1\ntrue\n"}).content.decode()
    assert "--array is not accepted" in page
    assert "GPU-hours are reserved" in page


# --- the list -----------------------------------------------------------------------------------------------------


def test_it_shows_what_the_person_may_see(client_of, submitter, other_researcher, pi, auditor, allocation):
    job = submit(submitter, allocation, name="secret training")
    for person in (submitter, pi, auditor):
        assert "secret training" in client_of(person).get(LIST).content.decode()
    assert "secret training" not in client_of(other_researcher).get(LIST).content.decode()
    assert client_of(other_researcher).get(reverse("jobs:job", args=[job.pk])).status_code == 404


def test_it_filters(window, submitter, allocation):
    one, two = submit(submitter, allocation, name="one"), submit(submitter, allocation, name="two")
    Job.objects.filter(pk=two.pk).update(state="completed")

    def shown(**query):
        return {job.pk for job in window.get(LIST, query).context["page"]}

    assert shown() == {one.pk, two.pk}
    assert shown(state="open") == {one.pk}
    assert shown(state="ended") == shown(state="completed") == {two.pk}
    assert shown(project=allocation.project.slug, mine="1") == {one.pk, two.pk}
    assert shown(project="nowhere") == shown(state="no such state") == set()


def test_many_jobs_take_no_more_queries(window, submitter, allocation):
    submit(submitter, allocation)
    few = queries_of(window, LIST)
    for number in range(20):
        submit(submitter, allocation, name=f"n{number}")
    assert queries_of(window, LIST) == few <= QUERIES_MOST


def test_pages_of_fifty(window, submitter, allocation):
    job = submit(submitter, allocation)
    Job.objects.bulk_create(
        Job(
            cluster=job.cluster,
            project=job.project,
            allocation=allocation,
            name=f"n{number}",
            partition="h100",
            gpu_type="h100",
            time_limit_s=60,
            created_at=now(),
            updated_at=now(),
        )
        for number in range(60)
    )
    assert len(window.get(LIST).context["page"]) == 50
    assert len(window.get(LIST, {"page": 2}).context["page"]) == 11


# --- a job's page -------------------------------------------------------------------------------------------------


def job_page(window, job: Job) -> str:
    return window.get(reverse("jobs:job", args=[job.pk])).content.decode()


def test_it_is_live_until_it_is_final(window, submitter, allocation):
    job = submit(submitter, allocation)
    assert 'hx-trigger="every' in window.get(reverse("jobs:live", args=[job.pk])).content.decode()
    Job.objects.filter(pk=job.pk).update(state="completed")
    assert 'hx-trigger="every' not in window.get(reverse("jobs:live", args=[job.pk])).content.decode()


def test_an_unknown_job_says_so_and_why(window, submitter, allocation):
    job = submit(submitter, allocation)
    Job.objects.filter(pk=job.pk).update(state="unknown", reason=portal_reason("no_answer"))
    page = job_page(window, job)
    assert "Unknown" in page
    assert "is not submitted twice" in page


def test_it_says_in_plain_words_why_it_waits(window, client_of, submitter, allocation):
    job = submit(submitter, allocation)
    Job.objects.filter(pk=job.pk).update(
        state="pending", reason="QOSGrpGRESMinutes", slurm_job_id=7, slurm_submit_at=now()
    )
    assert "The allocation does not cover it yet" in job_page(window, job)
    assert "QOSGrpGRESMinutes" in job_page(window, job)


def test_it_is_vietnamese_first(client_of, submitter, allocation):
    job = submit(submitter, allocation)
    Job.objects.filter(pk=job.pk).update(state="pending", reason="Resources", slurm_job_id=7, slurm_submit_at=now())
    page = client_of(submitter).get(reverse("jobs:job", args=[job.pk])).content.decode()
    assert "Đang chờ" in page
    assert "chờ GPU trống" in page


def test_a_refusal_shows_slurms_own_words_escaped(window, submitter, allocation):
    job = submit(submitter, allocation)
    Job.objects.filter(pk=job.pk).update(state="refused", reason=slurm_reason("odd", "<script>alert(1)</script>"))
    page = job_page(window, job)
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page


def test_its_course_comes_from_the_history(window, submitter, allocation):
    job = submit(submitter, allocation)
    Job.objects.filter(pk=job.pk).update(state="submitting", updated_at=now())
    Job.objects.filter(pk=job.pk).update(
        state="pending", slurm_job_id=7, slurm_submit_at=now(), bound_at=now(), updated_at=now()
    )
    steps = window.get(reverse("jobs:job", args=[job.pk])).context["timeline"]
    assert [step.state for step in steps] == ["queued", "submitting", "pending"]
    assert "7" in steps[-1].text


def test_it_shows_what_is_used_while_it_runs(window, submitter, allocation):
    from datetime import timedelta

    job = submit(submitter, allocation)
    began = now() - timedelta(minutes=30)
    Job.objects.filter(pk=job.pk).update(state="running", slurm_job_id=7, slurm_submit_at=began)
    Run.objects.filter(job=job).update(state="running", started_at=began, submit_at=began, job_id_raw=7)
    charge = window.get(reverse("jobs:job", args=[job.pk])).context["charge"]
    assert 3_600 <= charge.used < 3_700
    assert charge.held == 2 * (HOUR + 60)


def test_cancelling_asks_first_and_then_cancels(window, submitter, allocation):
    job = submit(submitter, allocation)
    assert 'id="cancel-job"' in job_page(window, job)
    response = window.post(reverse("jobs:cancel", args=[job.pk]), follow=True)
    assert "The job is cancelled." in response.content.decode()
    assert Job.objects.get().state == "cancelled"
    assert "already ended" in window.post(reverse("jobs:cancel", args=[job.pk]), follow=True).content.decode()


def test_a_get_cancels_nothing(window, submitter, allocation):
    job = submit(submitter, allocation)
    assert window.get(reverse("jobs:cancel", args=[job.pk])).status_code == 405
    assert Job.objects.get().state == "queued"


def test_an_auditor_sees_no_way_to_cancel(client_of, auditor, submitter, allocation):
    job = submit(submitter, allocation)
    page = client_of(auditor).get(reverse("jobs:job", args=[job.pk])).content.decode()
    assert 'id="cancel-job"' not in page


# --- fragments ----------------------------------------------------------------------------------------------------


def test_the_cards_show_the_newest_and_open_ones_first(window, submitter, allocation):
    old = submit(submitter, allocation, name="still open")
    done = submit(submitter, allocation, name="done")
    Job.objects.filter(pk=done.pk).update(state="completed")
    for url in (reverse("jobs:card"), reverse("jobs:project_card", args=[allocation.project.slug])):
        assert [job.pk for job in window.get(url).context["jobs"]] == [old.pk, done.pk]
