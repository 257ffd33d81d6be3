"""Data sets of the catalogue in the job form: offered, given to the script, refused beside the field, kept."""

from uuid import uuid4

import pytest
from django.urls import reverse

from portal.clock import now
from scheduler.clusters.models import Cluster
from scheduler.datasets.services import data_set_change, data_set_withdraw
from scheduler.jobs.errors import JobRefused
from scheduler.jobs.models import DataSetUse, Job
from scheduler.jobs.presets import presets
from scheduler.jobs.presets.environments import Environment
from scheduler.jobs.presets.render import Filled
from tests.scheduler.datasets import makers
from tests.scheduler.jobs.makers import submit

pytestmark = pytest.mark.django_db

NEW, PREVIEW, CHOICE = reverse("jobs:new"), reverse("jobs:preview"), reverse("jobs:data_sets")


@pytest.fixture
def window(client_of, submitter):
    client = client_of(submitter)
    client.cookies["django_language"] = "en"
    return client


@pytest.fixture
def sent(allocation):
    def make(**changes: object) -> dict[str, object]:
        shape = {"gpus_per_node": 1, "nodes": 1, "time_limit": "1h", "mode": "simple"}
        begun = {"key": str(uuid4()), "name": "x", "allocation": allocation.pk, "script": "#!/bin/bash\nhostname\n"}
        return shape | begun | changes

    return make


@pytest.fixture
def ours(cluster, project):
    return makers.offered(cluster, members=("minh",), **makers.named(projects=[project]))


@pytest.fixture
def others(cluster, other_project):
    return makers.offered(cluster, "cua-ho", name="Của họ", members=("minh",), **makers.named(projects=[other_project]))


def told(response) -> list[str]:
    return [str(problem) for _label, problem, _fixes in response.context["problems"]]


def test_only_those_of_the_project_on_that_cluster_are_offered(window, allocation, ours, others, cluster):
    elsewhere = Cluster.objects.create(name="other", title="Cụm 2", created_at=now())
    makers.offered(elsewhere, "noi-khac", name="Nơi khác")
    makers.draft(cluster, "nhap", name="Nháp")
    page = window.post(CHOICE, {"allocation": allocation.pk})
    assert page.context["data_sets"].fields["data_sets"].choices == [(str(ours.pk), "Báo tiếng Việt 2025 · 2025.1")]
    assert window.get(NEW).context["data_sets"].is_offered
    for nothing in ("", "999", "x", "9" * 40):
        assert not window.post(CHOICE, {"allocation": nothing}).context["data_sets"].is_offered


def test_a_chosen_one_is_a_path_of_the_catalogue_and_the_job_keeps_its_version(window, sent, ours):
    line = "\nexport SAOLA_DATA_BAO_2025=/data/bao-tieng-viet/2025.1\n"
    assert line in window.post(PREVIEW, sent(data_sets=[ours.pk])).context["rendered"]
    # The block is the form's: what is typed in it does not stay.
    typed = window.post(PREVIEW, sent(data_sets=[ours.pk])).context["rendered"].replace("/data/", "/home/")
    assert window.post(NEW, sent(data_sets=[ours.pk], script=typed)).status_code == 302
    job = Job.objects.get()
    assert line in job.script
    assert "/home/bao" not in job.script
    data_set_change(data_set=ours, described=makers.described(version="2026.1", path="/data/neu"), actor="test")
    use = DataSetUse.objects.get(job=job)
    assert (use.version, use.path) == ("2025.1", "/data/bao-tieng-viet/2025.1")
    page = window.get(reverse("jobs:job", args=[job.pk])).content.decode()
    assert "2025.1" in page
    assert reverse("datasets:data_set", args=["bao-2025"]) in page
    again = window.get(NEW, {"again": job.pk})
    assert again.context["data_sets"].numbers() == [ours.pk]
    assert "export SAOLA_DATA_BAO_2025=/data/neu\n" in again.context["rendered"]


def test_what_may_not_be_used_is_refused_beside_the_field_and_left_out_by_one_click(window, sent, ours, others):
    answer = window.post(NEW, sent(data_sets=[ours.pk, others.pk, 10**15]))
    assert answer.status_code == 422
    assert not Job.objects.exists()
    [error] = {str(error) for error in answer.context["data_sets"].errors["data_sets"]}
    assert error == "This project may not use one of the data sets that were chosen."
    assert "Của họ" not in answer.content.decode()
    cleared = window.post(NEW, sent(data_sets=[ours.pk, others.pk], fix=f"data_set={others.pk}"))
    assert told(cleared) == []
    assert cleared.context["data_sets"].numbers() == [ours.pk]


def test_a_withdrawn_one_says_why(window, sent, ours):
    data_set_withdraw(data_set=ours, reason="Hết hạn giấy phép", actor="test")
    assert told(window.post(PREVIEW, sent(data_sets=[ours.pk]))) == [
        "“Báo tiếng Việt 2025” is withdrawn: Hết hạn giấy phép"
    ]
    assert window.post(NEW, sent(data_sets=[ours.pk])).status_code == 422


def test_one_on_another_cluster_and_one_that_is_still_closed_are_named(window, sent, cluster):
    elsewhere = Cluster.objects.create(name="other", title="Cụm 2", created_at=now())
    far = makers.offered(elsewhere, "xa", name="Xa", members=("minh",))
    closed = makers.offered(cluster, "moi", name="Mới", members=("hoa",))
    first, second = told(window.post(PREVIEW, sent(data_sets=[far.pk, closed.pk])))
    assert first == "“Xa” lies on Cụm 2, and this allocation is on Trung tâm 1."
    assert second.startswith("The cluster is still letting you in to “Mới”")


@pytest.mark.parametrize("typed", [["x"], ["-1"], ["٣"], ["9" * 30], ["1'; rm"], [str(n) for n in range(1, 30)]])
def test_what_no_list_offers_is_an_answer_and_no_job(window, sent, ours, typed):
    assert window.post(PREVIEW, sent(data_sets=typed)).status_code == 200
    assert window.post(NEW, sent(data_sets=typed)).status_code == 422
    assert not Job.objects.exists()


APPTAINER = Environment("apptainer", image="/i.sif", mounts=("/own",))
ENROOT = Environment("enroot", image="/i.sqsh")
PLACE = "/data/bao-tieng-viet/2025.1"


@pytest.mark.parametrize(
    ("environment", "mount"),
    [(APPTAINER, f"--bind {PLACE}:{PLACE}:ro"), (ENROOT, f"mounts+=,{PLACE}:{PLACE}:ro")],
)
def test_an_image_gets_it_read_only(submitter, allocation, ours, environment, mount):
    filled = Filled(presets()["pytorch-single"], {"program": "t.py"}, environment)
    job = submit(submitter, allocation, filled=filled, script="", data_sets=[ours.pk])
    assert mount in job.script
    assert ("/own" in job.script) == bool(environment.mounts)
    assert job.filled["environment"].get("mounts", ()) == environment.mounts  # the catalogue's are not the person's
    assert job.filled["data_sets"] == [ours.pk]


def test_a_preset_of_the_project_keeps_which_ones(window, sent, allocation, ours, submitter):
    window.post(reverse("jobs:preset_save"), sent(data_sets=[ours.pk], save_as="kept"))
    [kept] = submitter.project_memberships.get().project.job_presets.all()
    begun = window.get(NEW, {"saved": kept.pk})
    assert begun.context["data_sets"].numbers() == [ours.pk]


def test_the_service_refuses_whatever_the_form_let_through(submitter, allocation, others):
    with pytest.raises(JobRefused) as refused:
        submit(submitter, allocation, data_sets=[others.pk])
    assert [(one.code, one.field) for one in refused.value.problems] == [("data_set", "data_sets")]
