"""What is offered: the product's own until an operator decides otherwise, and every decision counts at once."""

import pytest
from django.db import DatabaseError, transaction
from django.db.utils import IntegrityError
from django.http import Http404

from scheduler.jobs.errors import JobRefused
from scheduler.jobs.form.project_presets import project_preset_save
from scheduler.jobs.library import services
from scheduler.jobs.library.errors import BrokenPreset, LibraryError, MovedOn
from scheduler.jobs.library.models import PresetOffer, PresetVersion
from scheduler.jobs.library.selectors import (
    edition_get,
    editions_offered,
    preset_find,
    preset_kept,
    presets_kept,
    presets_offered,
)
from scheduler.jobs.presets import presets
from scheduler.jobs.presets.definition import figures_parse, preset_make
from scheduler.jobs.presets.writing import figures_of, figures_tidy, figures_write
from tests.scheduler.jobs.library.makers import offered, saved, title, withdrawn
from tests.scheduler.jobs.makers import submit

pytestmark = pytest.mark.django_db


def test_without_a_decision_the_products_own_are_offered(operator):
    assert presets_offered() == presets()
    saved(operator, "hello-gpu")
    assert presets_offered() == presets()
    assert preset_find("hello-gpu") == presets()["hello-gpu"]
    assert preset_find("") is preset_find("hello-gpu@7") is preset_find("no-such") is None


def test_a_version_is_offered_and_an_earlier_one_returned_to(operator):
    saved(operator, "hello-gpu", title=title("Một"))
    saved(operator, "hello-gpu", title=title("Hai"), position=0)
    offered(operator, "hello-gpu", 1)
    assert (preset_find("hello-gpu").edition, preset_find("hello-gpu").titles.by_language["vi"]) == (1, "Một")
    offered(operator, "hello-gpu", 2)
    assert next(iter(presets_offered())) == "hello-gpu"  # its place in the list is the version's
    offered(operator, "hello-gpu", 1)
    assert preset_find("hello-gpu").edition == 1
    offered(operator, "hello-gpu", 0)
    assert preset_find("hello-gpu") == presets()["hello-gpu"]
    kept = preset_kept(operator, "hello-gpu")
    assert [entry.version for entry in kept.history if str(entry.why) == "Đã chạy thử"] == [0, 1, 2, 1]


def test_a_centres_own_preset_is_there_only_while_it_is_offered(operator):
    saved(operator, "thuc-hanh", like="pytorch-single")
    assert "thuc-hanh" not in presets_offered()
    offered(operator, "thuc-hanh", 1)
    assert "thuc-hanh" in presets_offered()
    withdrawn(operator, "thuc-hanh")
    assert "thuc-hanh" not in presets_offered()


def test_a_withdrawn_one_begins_no_job_in_any_version(operator, submitter, allocation):
    saved(operator, "hello-gpu")
    offered(operator, "hello-gpu", 1)
    withdrawn(operator, "hello-gpu")
    assert preset_find("hello-gpu") is preset_find("hello-gpu@1") is preset_find("hello-gpu@0") is None
    with pytest.raises(JobRefused):
        submit(submitter, allocation, script="", preset="hello-gpu")
    with pytest.raises(LibraryError):
        withdrawn(operator, "hello-gpu")


def test_a_job_remembers_its_version(operator, submitter, allocation):
    before = submit(submitter, allocation, script="", preset="hello-gpu")
    saved(operator, "hello-gpu", script="#!/bin/bash\necho of the centre\n")
    offered(operator, "hello-gpu", 1)
    job = submit(submitter, allocation, script="", preset="hello-gpu")
    assert (before.preset_edition, job.preset_edition, job.filled["version"]) == (0, 1, 1)
    assert "echo of the centre" in job.script


def test_a_copy_stands_on_its_version(operator, submitter, allocation, client_of):
    saved(operator, "lora", title=title("Một"))
    offered(operator, "lora", 1)
    saved(operator, "lora", title=title("Hai"))
    offered(operator, "lora", 2)
    copy = project_preset_save(
        person=submitter,
        project=allocation.project,
        title="của nhóm",
        preset="lora@1",
        filled={"version": 1, "edition": 1, "fields": {"rank": "8"}, "environment": {"kind": "system"}, "code": {}},
        script=presets()["lora"].start,
        nodes=1,
        gpus_per_node=1,
        time_limit_s=600,
    )
    form = client_of(submitter).get(f"/jobs/new/?saved={copy.pk}").context["form"]
    assert (form.chosen.edition, form["rank"].value(), form.initial["preset_changed"]) == (1, "8", False)
    withdrawn(operator, "lora")
    form = client_of(submitter).get(f"/jobs/new/?saved={copy.pk}").context["form"]
    assert form.chosen is None


def test_only_what_was_ever_offered_can_be_copied(operator):
    for number in (1, 2, 3):
        saved(operator, "hello-gpu")
        if number != 2:
            offered(operator, "hello-gpu", number)
    assert [one.edition for one in editions_offered("hello-gpu")] == [3, 1, 0]
    assert preset_find("hello-gpu@2") is None
    assert preset_find("hello-gpu@1").key == "hello-gpu@1"


def test_a_broken_one_is_kept_and_cannot_be_offered(operator):
    saved(operator, "lora", script="#!/bin/bash\necho no placeholder for all its fields\n")
    saved(operator, "lora", script=presets()["lora"].script + "if\n")
    for number in (1, 2):
        with pytest.raises(BrokenPreset):
            offered(operator, "lora", number)
    assert not PresetOffer.objects.exists()


def test_who_did_not_see_the_last_decision_decides_nothing(operator, second_operator):
    saved(operator, "hello-gpu")
    kept = preset_kept(second_operator, "hello-gpu")
    offered(operator, "hello-gpu", 1)
    with pytest.raises(MovedOn):
        services.offer_withdraw(kept=kept, seen=kept.seen, why="x", person=second_operator)
    with pytest.raises(IntegrityError), transaction.atomic():  # nor do two at the same moment
        PresetOffer.objects.create(slug="hello-gpu", number=1, why="x", person=operator, at=kept.history[0].at)


def test_what_a_newer_release_cannot_read_gives_way_to_its_own(operator, monkeypatch):
    saved(operator, "hello-gpu")
    offered(operator, "hello-gpu", 1)
    row = PresetVersion.objects.get()
    row.definition += "\n[no_such_thing]\n"
    with transaction.atomic(), pytest.raises(DatabaseError):
        row.save()  # nobody changes a version, not even by hand
    monkeypatch.setattr("scheduler.jobs.library.selectors.preset_parsed", lambda version: None)
    assert preset_find("hello-gpu") == presets()["hello-gpu"]
    assert preset_kept(operator, "hello-gpu").is_unreadable


def test_nothing_of_it_is_changed_or_deleted(operator):
    saved(operator, "hello-gpu")
    offered(operator, "hello-gpu", 1)
    for rows in (PresetVersion.objects.all(), PresetOffer.objects.all()):
        for act in (lambda rows: rows.update(why="x"), lambda rows: rows.delete()):
            with pytest.raises(DatabaseError), transaction.atomic():
                act(rows)


@pytest.mark.parametrize("slug", ["", "a", "Lora", "1lora", "lo ra", "new", "import", "lora@2", "-x-", "x" * 31, "é-é"])
def test_a_short_name_has_its_form(operator, slug):
    with pytest.raises(LibraryError):
        saved(operator, slug, like="lora")


def test_others_find_nothing(researcher, approver, auditor):
    for person in (researcher, approver, auditor):
        with pytest.raises(Http404):
            presets_kept(person)
        with pytest.raises(Http404):
            preset_kept(person, "lora")


@pytest.mark.parametrize("slug", presets())
def test_a_file_that_was_written_is_read_back_as_it_was(slug):
    preset = presets()[slug]
    text = figures_write(figures_of(preset))
    again = preset_make(slug, figures_parse(text), preset.script)
    assert again == preset
    assert figures_write(figures_tidy(figures_parse(text))) == text


def test_the_products_own_are_version_0(operator):
    kept = preset_kept(operator, "lora")
    assert kept.editions == [0]
    assert edition_get(kept, 0).preset == presets()["lora"]
    with pytest.raises(Http404):
        edition_get(kept, 1)
