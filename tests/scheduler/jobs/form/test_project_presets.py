"""Presets of projects: kept by a member, found by the others, in versions that nobody changes."""

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse

from portal.people.services import project_member_remove
from scheduler.jobs.errors import JobRefused
from scheduler.jobs.form.project_presets import project_preset_save, project_presets
from scheduler.jobs.models import Job, ProjectPreset
from tests.scheduler.jobs.form.test_form import NEW, PREVIEW, begun, shown, told, window

pytestmark = pytest.mark.django_db

SAVE = reverse("jobs:preset_save")
__all__ = ["begun", "window"]


def saved(window, data) -> ProjectPreset:
    response = window.post(SAVE, data)
    assert response.status_code == 302, told(response)
    preset = ProjectPreset.objects.latest("created_at")
    assert response.url == f"{NEW}?saved={preset.pk}"
    return preset


@pytest.fixture
def data(begun):
    return begun("pytorch-multinode", arguments="--seed 7", environment="conda", conda="train", save_as="Dịch máy")


def test_it_begins_a_job_as_it_was_kept_with_what_was_still_missing(window, data):
    data["script"] += "echo mine\n"
    kept = saved(window, data)
    page = window.get(NEW, {"saved": kept.pk})
    again = shown(page)
    assert "“Dịch máy”, version 1" in page.content.decode()
    assert (again["arguments"], again["environment"], again["conda"]) == ("--seed 7", "conda", "train")
    assert (again["nodes"], again["gpus_per_node"], again["time_limit"]) == (2, 8, "4h")
    assert again["name"] == again["save_as"] == "Dịch máy"
    assert again["script"].endswith("echo mine\n")
    assert window.post(PREVIEW, again).context["missing"] == ["Program"]
    assert window.post(NEW, again | {"program": "train.py"}).status_code == 302
    assert Job.objects.get().preset == "pytorch-multinode"


def test_the_same_name_again_is_the_next_version(window, data, allocation):
    first, second = saved(window, data), saved(window, data | {"arguments": "--seed 8"})
    assert (first.version, second.version) == (1, 2)
    assert shown(window.get(NEW, {"saved": first.pk}))["arguments"] == "--seed 7"
    assert [one.version for one in project_presets(first.created_by)] == [2]
    with pytest.raises(IntegrityError), transaction.atomic():
        ProjectPreset.objects.filter(pk=first.pk).update(version=2)


def test_members_find_it_and_others_do_not(window, data, client_of, second_researcher, other_researcher):
    kept = saved(window, data)
    assert "Dịch máy" in client_of(second_researcher).get(NEW).content.decode()
    assert client_of(second_researcher).get(NEW, {"saved": kept.pk}).status_code == 200
    assert "Dịch máy" not in client_of(other_researcher).get(NEW).content.decode()
    for key in (kept.pk, 0, "9" * 30, "x"):
        assert client_of(other_researcher).get(NEW, {"saved": key}).status_code == 404


def test_who_left_the_project_keeps_nothing(window, data, submitter):
    kept = saved(window, data)
    project_member_remove(project=kept.project, user=submitter, role="researcher")
    assert window.get(NEW, {"saved": kept.pk}).status_code == 404
    with pytest.raises(JobRefused):
        project_preset_save(person=submitter, project=kept.project, title="x")


def test_it_can_be_withdrawn_and_kept_anew(window, data):
    kept = saved(window, data)
    saved(window, data)
    window.post(reverse("jobs:preset_withdraw", args=[kept.pk]))
    assert list(window.get(NEW).context["project_presets"]) == []
    assert window.get(NEW, {"saved": kept.pk}).status_code == 404
    assert saved(window, data).version == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"save_as": ""},
        {"save_as": "  "},
        {"save_as": "a\u202eb"},
        {"save_as": "x" * 61},
        {"allocation": ""},
        {"nodes": "many"},
        {"time_limit": ""},
        {"script": "#!/bin/bash\n#SBATCH --array=1-9\necho\n"},
    ],
)
def test_what_cannot_be_kept_is_said(window, data, changes):
    assert window.post(SAVE, data | changes).status_code == 422
    assert ProjectPreset.objects.count() == 0
