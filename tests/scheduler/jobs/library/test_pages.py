"""Presets in an operator's browser: from the list to what jobs begin with."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from scheduler.jobs.library.models import PresetOffer, PresetVersion
from scheduler.jobs.library.selectors import preset_find
from scheduler.jobs.models import ProjectPreset
from scheduler.jobs.presets import presets
from scheduler.jobs.presets.writing import figures_of, figures_write
from tests.counting import QUERIES_MOST, queries_of
from tests.scheduler.jobs.library.makers import offered, saved

pytestmark = pytest.mark.django_db

LIST = reverse("library:list")
WHY = {"why": "Cho học kỳ mới"}


@pytest.fixture
def window(client_of, operator):
    client = client_of(operator)
    client.cookies["django_language"] = "en"
    return client


def sent(response) -> dict[str, object]:
    """The form as a browser would send it."""
    assert response.status_code in (200, 422)
    form, fields = response.context["form"], response.context["fields"]
    data = {name: form[name].value() for name in form.fields}
    for number, row in enumerate(fields.forms):
        data |= {f"fields-{number}-{name}": row[name].value() for name in row.fields}
    data |= {"fields-TOTAL_FORMS": len(fields.forms), "fields-INITIAL_FORMS": 0}
    return {name: value for name, value in data.items() if value is not None and value is not False}


@pytest.mark.parametrize("slug", presets())
def test_every_preset_goes_through_the_form_unchanged(window, slug):
    edit = reverse("library:edit", args=[slug])
    response = window.post(edit, sent(window.get(edit)) | WHY)
    assert response.status_code == 302, response.context["form"].errors
    row = PresetVersion.objects.get()
    assert (row.version, row.made_from, row.script) == (1, 0, presets()[slug].script)
    assert row.definition == figures_write(figures_of(presets()[slug]) | {"version": 1})
    assert response.url == reverse("library:edition", args=[slug, 1])
    assert preset_find(slug) == presets()[slug]


def test_it_is_changed_looked_at_and_offered(window):
    edit = reverse("library:edit", args=["lora"])
    data = sent(window.get(edit)) | WHY | {"title_en": "LoRA here", "nodes_most": "2", "fields-8-most": "64"}
    window.post(edit, data)
    page = window.get(reverse("library:edition", args=["lora", 1]) + "?shape=2x8&place=conda")
    assert page.context["faults"] == []
    assert "conda activate train" in page.context["written"].script
    compare = window.get(reverse("library:compare", args=["lora"]))
    assert (compare.context["before"], compare.context["after"], compare.context["script"]) == (0, 1, [])
    more = [line.text for line in compare.context["definition"] if line.kind == "more"]
    assert {"nodes_most = 2", 'en = "LoRA here"', "most = 64"} <= set(more)
    offer = reverse("library:offer", args=["lora", 1])
    assert "no longer with version 0" in window.get(offer).content.decode()
    assert window.post(offer, {"seen": 0, "why": ""}).status_code == 422
    assert window.post(offer, {"seen": 0, "why": "Tried"}).url == reverse("library:preset", args=["lora"])
    assert (preset_find("lora").title, preset_find("lora").nodes_most) == ("LoRA here", 2)
    assert "Tried" in window.get(reverse("library:preset", args=["lora"])).content.decode()
    assert window.post(offer, {"seen": 0, "why": "again"}).status_code == 422
    withdraw = reverse("library:withdraw", args=["lora"])
    assert window.post(withdraw, {"seen": 1, "why": "Broken"}).status_code == 302
    assert [(one.is_withdrawn, one.edition) for one in PresetOffer.objects.all()] == [(True, 0), (False, 1)]
    assert b"Withdrawn" in window.get(LIST).content


def test_one_that_is_broken_says_so_while_it_is_written_and_is_not_offered(window):
    edit = reverse("library:edit", args=["lora"])
    data = sent(window.get(edit)) | WHY
    data["script"] = str(data["script"]).replace("rank=@{rank}\n", "")
    check = reverse("library:check")
    assert "no placeholder for rank" in window.post(check, data).content.decode()
    data["script"] = str(data["script"]).replace("alpha=@{alpha}", "rank=@{rank}\nalpha=@{alpha}") + "\nif\n"
    assert "syntax error" in window.post(check, data).content.decode()
    assert "Time limit" in window.post(check, data | {"time_limit": "soon"}).context["unread"]
    assert window.post(edit, data | {"time_limit": "soon"}).status_code == 422
    assert not PresetVersion.objects.exists()
    window.post(edit, data)  # unfinished work is kept
    offer = reverse("library:offer", args=["lora", 1])
    assert "cannot be offered" in window.get(offer).content.decode()
    assert window.post(offer, {"seen": 0, "why": "x"}).status_code == 422
    assert not PresetOffer.objects.exists()


def test_fields_are_added_moved_and_removed_without_losing_what_was_typed(window):
    new = reverse("library:new")
    data = sent(window.get(new)) | {"title_vi": "Thực hành"}
    names = [data[f"fields-{number}-name"] for number in range(4)]
    for asked, expected in (
        ("add=epochs", [*names, "epochs"]),
        ("up=4", [*names[:3], "epochs", names[3]]),
        ("remove=0", [*names[1:3], "epochs", names[3]]),
        ("down=3", [*names[1:3], "epochs", names[3]]),
        ("remove=99", [*names[1:3], "epochs", names[3]]),
        ("nonsense", [*names[1:3], "epochs", names[3]]),
    ):
        page = window.post(new, data | {"do": asked})
        data = sent(page)
        assert [row.shown_name for row in page.context["fields"].forms] == expected
        assert data["title_vi"] == "Thực hành"
    assert not PresetVersion.objects.exists()


def test_a_new_preset_is_made_from_the_beginning(window):
    new = reverse("library:new")
    texts = {"title_vi": "Thực hành", "title_en": "Lab", "description_vi": "a", "description_en": "b"}
    data = sent(window.get(new)) | WHY | texts
    assert window.post(reverse("library:check"), data).context["faults"] == []
    assert window.post(new, data | {"slug": "New"}).status_code == 422
    assert window.post(new, data | {"slug": "lab"}).url == reverse("library:edition", args=["lab", 1])
    like = window.get(new, {"like": "lab"})
    assert sent(like)["title_en"] == "Lab"


def test_files_go_out_and_come_back(window, operator):
    saved(operator, "lora", nodes_most=3)
    texts = {}
    for name in ("definition", "script"):
        response = window.get(reverse(f"library:{name}", args=["lora", 1]))
        assert "attachment" in response.headers["Content-Disposition"]
        texts[name] = response.content
    files = {
        "definition": SimpleUploadedFile("lora.toml", texts["definition"]),
        "script": SimpleUploadedFile("lora.sh", texts["script"].replace(b"\n", b"\r\n")),
    }
    window.post(reverse("library:import"), files | WHY)
    second, first = PresetVersion.objects.all()
    assert second.definition == first.definition.replace("version = 1", "version = 2")
    assert second.script == first.script


@pytest.mark.parametrize(
    ("definition", "script", "told"),
    [
        (b"version = ", b"#!/bin/bash\necho\n", "no TOML"),
        (b"\xff", b"#!/bin/bash\necho\n", "UTF-8"),
        (b"version = 1\nnodes = 1", b"#!/bin/bash\necho\n", "gpus_per_node"),
        (b"fields = 5", b"#!/bin/bash\necho\n", "fields"),
        (b"x" * 262_145, b"#!/bin/bash\necho\n", "KiB"),
    ],
)
def test_files_that_are_no_preset_are_refused(window, definition, script, told):
    files = {"definition": SimpleUploadedFile("mine.toml", definition), "script": SimpleUploadedFile("m.sh", script)}
    response = window.post(reverse("library:import"), files | WHY)
    assert response.status_code == 422
    assert told in str(response.context["form"].errors)


def test_members_copy_any_version_that_was_offered(client_of, researcher, other_researcher, operator, project, nobody):
    saved(operator, "lora")
    offered(operator, "lora", 1)
    copy = reverse("jobs:preset_copy", args=["lora"])
    window = client_of(researcher)
    assert [number for number, _label in window.get(copy).context["form"].fields["edition"].choices] == [1, 0]
    data = {"project": project.pk, "edition": 0, "title": "của nhóm"}
    assert window.post(copy, data | {"edition": 2}).status_code == 422
    assert client_of(other_researcher).post(copy, data).status_code == 422  # no project of theirs
    response = window.post(copy, data)
    kept = ProjectPreset.objects.get()
    assert (kept.preset, kept.project, response.url) == ("lora@0", project, f"{reverse('jobs:new')}?saved={kept.pk}")
    assert window.get(response.url).context["form"].chosen == preset_find("lora@0")
    assert client_of(nobody).get(copy).status_code == 404


def test_the_list_asks_no_more_for_many(window, operator):
    few = queries_of(window, LIST)
    for slug in ("lora", "sft", "hello-gpu"):
        saved(operator, slug)
    offered(operator, "hello-gpu", 1)
    assert queries_of(window, LIST) == few <= QUERIES_MOST
