"""The form of every preset: what it asks, what it writes, and that what a person wrote is never lost."""

import re
from uuid import uuid4

import pytest
from django.urls import reverse

from portal.clock import now
from scheduler.clusters.models import Partition
from scheduler.jobs.models import Job
from scheduler.jobs.presets import presets
from scheduler.jobs.script import BLOCK_BEGIN, script_check, strip_block
from tests.quotas.makers import HOUR, tariff
from tests.scheduler.jobs.makers import submit

pytestmark = pytest.mark.django_db

NEW, PREVIEW = reverse("jobs:new"), reverse("jobs:preview")
TRAIN = {"program": "train.py", "data": "/data/corpus_text_document"}


@pytest.fixture
def window(client_of, submitter):
    client = client_of(submitter)
    client.cookies["django_language"] = "en"
    return client


@pytest.fixture
def begun(window, allocation):
    """The form as it comes back after a click on a preset, as a browser would send it again."""

    def begin(slug: str, **changes: object) -> dict[str, object]:
        key = {"key": str(uuid4()), "allocation": allocation.pk, "mode": "simple"}
        return shown(window.post(NEW, key | {"fix": f"preset={slug}"})) | changes

    return begin


def shown(response) -> dict[str, object]:
    assert response.status_code == 200
    form = response.context["form"]
    return {name: form[name].value() for name in form.fields if form[name].value() is not None}


def told(response) -> list[str]:
    return [f"{label}: {problem}" for label, problem, _fixes in response.context["problems"]]


@pytest.mark.parametrize("slug", presets())
def test_every_preset_is_offered_filled_in_and_submitted(window, begun, slug):
    assert f'value="preset={slug}"' in window.get(NEW).content.decode()
    preset = presets()[slug]
    data = begun(slug)
    assert data["name"] == slug
    assert {one.name for one in preset.fields} <= data.keys()
    data |= {name: value for name, value in TRAIN.items() if name in data}
    data |= {"nodes": 1, "time_limit": "1h"}
    response = window.post(NEW, data)
    assert response.status_code == 302, response.context["form"].errors
    job = Job.objects.get()
    assert (job.preset, job.filled["version"]) == (slug, preset.version)
    assert strip_block(job.script).strip() == preset.start.strip()
    assert script_check(job.script) == []
    for name, value in TRAIN.items():
        if name in {one.name for one in preset.fields}:
            assert f"\n{name}={value}\n" in job.script


def test_a_new_form_lacks_something_and_nothing_in_it_is_wrong(window, begun):
    response = window.post(PREVIEW, begun("pytorch-single"))
    assert response.context["missing"] == ["Program"]
    assert response.context["problems"] == []
    assert "program=''" in response.context["rendered"]
    more = window.post(PREVIEW, begun("pytorch-single", environment="conda", code="git"))
    assert set(more.context["missing"]) == {"Program", "conda environment", "Repository"}
    assert more.context["problems"] == []
    nowhere = window.post(PREVIEW, begun("pytorch-single", allocation=""))
    assert (nowhere.context["missing"], nowhere.context["problems"]) == (["Project and allocation", "Program"], [])


def test_the_script_follows_the_form_and_the_persons_lines_stay(window, begun):
    data = begun("pytorch-single", program="train.py")
    data["script"] += "echo mine, below\n"
    data["script"] = data["script"].replace("#!/bin/bash\n", "#!/bin/bash\n#SBATCH --mail-type=END\n")
    data |= {"program": "other.py", "gpus_per_node": 4, "environment": "conda", "conda": "train"}
    written = window.post(PREVIEW, data).context["rendered"]
    assert "\nprogram=other.py\n" in written
    assert "gpus_per_node=4" in written
    assert "conda activate train" in written
    assert written.startswith(f"#!/bin/bash\n#SBATCH --mail-type=END\n{BLOCK_BEGIN}\n")
    assert written.endswith("echo mine, below\n")
    assert window.post(PREVIEW, data | {"script": written}).context["rendered"] == written
    assert window.post(NEW, data).status_code == 302
    assert Job.objects.get().script == written


def test_another_preset_takes_over_what_fits_and_leaves_edited_lines(window, begun):
    data = begun("pytorch-single", program="mine.py", environment="module", modules="cuda/12.4", time_limit="3h")
    kept = shown(window.post(NEW, data | {"fix": "preset=pytorch-multinode"}))
    assert (kept["preset"], kept["program"], kept["environment"], kept["modules"]) == (
        *("pytorch-multinode", "mine.py", "module", "cuda/12.4"),
    )
    assert (kept["nodes"], kept["time_limit"], kept["name"]) == (2, "4h", "pytorch-multinode")
    data["script"] += "echo mine\n"
    edited = window.post(NEW, data | {"fix": "preset=accelerate", "name": "my run"})
    assert "echo mine" in shown(edited)["script"]
    assert "accelerate launch" in shown(edited)["script"]
    assert shown(edited)["name"] == "my run"
    assert "You have changed lines" in edited.content.decode()
    anew = shown(window.post(NEW, shown(edited) | {"fix": "script="}))
    assert strip_block(anew["script"]).strip() == presets()["accelerate"].start.strip()


def test_all_lines_can_become_the_persons_own(window, begun):
    data = shown(window.post(NEW, begun("pytorch-single", program="train.py") | {"fix": "own="}))
    assert data["preset"] == ""
    assert "program=train.py" in strip_block(data["script"])
    assert window.post(NEW, data).status_code == 302
    assert Job.objects.get().preset == ""


def test_an_empty_script_takes_no_edited_lines_away(window, begun):
    data = begun("pytorch-single", program="train.py")
    assert "srun hostname" in shown(window.post(NEW, data | {"fix": "preset="}))["script"]
    data["script"] += "echo mine\n"
    own = strip_block(shown(window.post(NEW, data | {"fix": "preset="}))["script"])
    assert "echo mine" in own
    assert "program=train.py" in own


def test_code_comes_from_a_repository(window, begun):
    data = begun("pytorch-single", program="train.py", code="git", repository="https://git.example.vn/lab/llm.git")
    written = window.post(PREVIEW, data | {"revision": "v1.2"}).context["rendered"]
    assert "repository=https://git.example.vn/lab/llm.git\nrevision=v1.2\n" in written
    assert "repository=" not in window.post(PREVIEW, data | {"code": "path"}).context["rendered"]


@pytest.mark.parametrize(
    "address",
    [
        *("ext::sh -c id", "file:///etc", "/etc", "--upload-pack=id", "https://user:secret@host/x", "http://host/x"),
        *("https://host/a/../b", "git@host:x\u202e", "https://host/$(id)", "https://host/a b", "-x@host:y"),
    ],
)
def test_a_repository_that_could_run_or_show_something_is_refused(window, begun, address):
    data = begun("pytorch-single", program="train.py", code="git", repository=address)
    response = window.post(NEW, data)
    assert response.status_code == 422
    assert "repository" in response.context["form"].errors
    assert Job.objects.count() == 0


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"program": "~/x"}, "program"),
        ({"program": "a\u2028b"}, "program"),
        ({"program": ""}, "program"),
        ({"arguments": "'open"}, "arguments"),
        ({"restarts": "1000"}, "restarts"),
        ({"environment": "docker"}, "environment"),
        ({"environment": "conda"}, "conda"),
        ({"environment": "apptainer", "image": "--fakeroot.sif"}, "image"),
        ({"environment": "enroot", "image": "a.sqsh", "mounts": "/a\n/b:/etc"}, "mounts"),
        ({"environment": "module", "modules": "a;id"}, "modules"),
        ({"code": "svn"}, "code"),
        ({"code": "git"}, "repository"),
        ({"code": "git", "repository": "https://h/x", "revision": "--all"}, "revision"),
        ({"nodes": "2"}, "nodes"),
        ({"partition": "h200"}, "partition"),
        ({"partition": "x\ny"}, "partition"),
        ({"mode": "expert"}, "mode"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(window, begun, changes, field):
    response = window.post(NEW, begun("pytorch-single", program="train.py") | changes)
    assert response.status_code == 422
    assert field in response.context["form"].errors
    assert Job.objects.count() == 0
    assert window.post(PREVIEW, begun("pytorch-single", program="train.py") | changes).status_code == 200


def test_a_wrong_field_that_the_simple_form_hides_is_shown(window, begun):
    data = begun("pytorch-single", program="train.py", restarts="1000")
    assert window.post(NEW, data).context["form"]["mode"].value() == "advanced"
    assert 'value="mode=advanced"' in window.post(PREVIEW, data).content.decode()
    assert 'value="mode=advanced"' not in window.post(PREVIEW, data | {"mode": "advanced"}).content.decode()


def test_one_click_takes_as_many_nodes_as_the_preset_can(window, begun):
    data = begun("pytorch-single", program="train.py", nodes=3)
    page = window.post(PREVIEW, data).content.decode()
    assert 'value="nodes=1"' in page
    assert shown(window.post(NEW, data | {"fix": "nodes=1"}))["nodes"] == "1"


def test_a_partition_can_be_asked_for(window, begun, cluster, allocation):
    debug = {"name": "debug", "gpu_type": "h100", "nodes": 1, "gpus_per_node": 8, "max_time_s": HOUR}
    Partition.objects.create(cluster=cluster, read_at=now(), **debug)
    page = window.get(NEW).content.decode()
    assert "debug · 1 × 8 H100" in page
    assert "h200 ·" not in page  # there is no allocation for it
    data = begun("hello-gpu", partition="debug")
    assert window.post(NEW, data).status_code == 302
    assert Job.objects.get().partition == "debug"
    response = window.post(PREVIEW, data | {"time_limit": "2h"})
    assert "Partition debug lets a job run for at most 1 hour" in response.content.decode()
    assert 'value="partition="' in window.post(PREVIEW, data | {"partition": "nowhere"}).content.decode()


def test_the_cost_is_said_in_money_too(window, begun, allocation):
    data = begun("hello-gpu", gpus_per_node=2, time_limit="2h")
    assert "VND" not in window.post(PREVIEW, data).content.decode()
    tariff(vnd_per_gpu_hour=55_000)
    assert "220,000\N{NO-BREAK SPACE}VND" in window.post(PREVIEW, data).content.decode()


def test_running_again_begins_with_everything_as_it_was(window, begun, submitter):
    data = begun("accelerate", program="train.py", environment="apptainer", image="a.sif", mounts="/data/a\n/data/b")
    data |= {"code": "git", "repository": "git@host:x/y.git", "revision": "main", "restarts": "2", "nodes": 1}
    data["script"] += "echo mine\n"
    assert window.post(NEW, data).status_code == 302
    job = Job.objects.get()
    response = window.get(NEW, {"again": job.pk})
    again = shown(response)
    assert again["script"] == job.script
    same = {name for name in data if name not in ("key", "script", "mode")}
    assert {name: str(again[name]) for name in same} == {name: str(data[name]) for name in same}
    assert "has changed since then" not in response.content.decode()
    assert window.post(NEW, again).status_code == 302
    assert Job.objects.count() == 2
    assert len({one.script for one in Job.objects.all()}) == 1


def test_running_again_says_that_the_preset_has_changed(window, begun):
    window.post(NEW, begun("pytorch-single", program="train.py"))
    job = Job.objects.get()
    Job.objects.update(filled=job.filled | {"version": 99, "fields": {"program": "train.py", "gone": "x"}})
    response = window.get(NEW, {"again": job.pk})
    assert "has changed since then" in response.content.decode()
    assert "gone" not in shown(response)


def test_running_again_without_its_preset_keeps_all_lines(window, begun):
    window.post(NEW, begun("pytorch-single", program="train.py"))
    job = Job.objects.get()
    Job.objects.update(preset="withdrawn")
    again = shown(window.get(NEW, {"again": job.pk}))
    assert not again.get("preset")
    assert "program=train.py" in strip_block(again["script"])


def test_the_same_form_with_another_field_is_another_job(window, begun):
    data = begun("pytorch-single", program="train.py")
    for program in ("train.py", "train.py", "other.py"):
        assert window.post(NEW, data | {"program": program}).status_code == 302
    assert Job.objects.count() == 2


def test_a_plain_job_keeps_nothing_of_a_preset(submitter, allocation):
    assert submit(submitter, allocation).filled == {}


@pytest.mark.parametrize("script", ["#!/bin/bash\necho \0\n", "#!/bin/bash\r\necho\n", "   "])
def test_a_script_that_cannot_be_read_is_not_replaced(window, begun, script):
    response = window.post(PREVIEW, begun("pytorch-single", program="train.py", script=script))
    assert response.context["rendered"] == ""
    assert "script-written" not in response.content.decode()


@pytest.mark.parametrize(("slug", "asks_itself"), [("pytorch-single", True), ("sft", False), ("", False)])
def test_each_thing_is_asked_for_once(window, allocation, slug, asks_itself):
    page = window.get(NEW, {"preset": slug or "none"}).content.decode()
    named = re.findall(r'<(?:input|select|textarea) [^>]*\bid="(id_[^"]+)"', page)
    assert len(named) == len(set(named))
    assert page.count('name="restarts"') == 1
    assert ('name="checkpoint_lead"' in page) == (not asks_itself)
