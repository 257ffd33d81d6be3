"""The results that a preset names, on the page of a job that was made of it."""

import pytest

from scheduler.jobs.models import Job
from scheduler.jobs.output.results import results_shown
from scheduler.jobs.output.shown import listing_shown
from scheduler.jobs.presets import presets
from scheduler.jobs.presets.definition import PresetInvalid, figures_parse, preset_make
from scheduler.jobs.presets.render import Filled
from scheduler.jobs.presets.writing import figures_of, figures_write
from tests.scheduler.jobs.library.makers import offered, saved
from tests.scheduler.jobs.makers import submit
from tests.scheduler.jobs.output.test_output import NUMBER, _empty_cache, end, url, window

pytestmark = pytest.mark.django_db
__all__ = ["_empty_cache", "window"]


@pytest.fixture
def looked(window, submitter, allocation, slurm, work):
    """What the page of a job of a preset says of its results, when these files lie in its folder."""

    def look(slug: str, files: dict[tuple[str, ...], bytes], *, ended: bool = True, **fields: str):
        filled = Filled(presets()[slug], fields)
        job = submit(submitter, allocation, script="", filled=filled, gpus_per_node=1)
        Job.objects.filter(pk=job.pk).update(
            state="running", slurm_job_id=NUMBER, slurm_submit_at=job.created_at, bound_at=job.created_at
        )
        job.runs.update(job_id_raw=NUMBER, submit_at=job.created_at, started_at=job.created_at)
        if ended:
            end(job)
        slurm.files |= files
        window.get(url("files", job))
        assert work() == 1
        return window.get(url("files", job))

    return look


def test_they_stand_above_the_files_with_their_download(looked):
    answer = looked("evaluation", {("Qwen__7B", "results_1.json"): b"{}", ("Qwen__7B", "samples.json"): b"{}"})
    [result] = answer.context["results"]
    assert (result.title, [entry.name for entry in result.entries]) == ("Scores", ["Qwen__7B/results_1.json"])
    page = answer.content.decode()
    assert page.index("Scores") < page.index("samples.json")
    assert page.count("p=Qwen__7B&amp;p=results_1.json") >= 2  # in both places


@pytest.mark.parametrize(("ended", "said"), [(True, "was not written"), (False, "not written yet")])
def test_what_is_missing_is_said(looked, ended, said):
    assert said in looked("lora", {("checkpoint-1", "adapter_model.safetensors"): b"x"}, ended=ended).content.decode()


def test_results_with_a_name_lie_in_the_projects_folder(looked, project):
    page = looked("lora", {("adapter_model.safetensors",): b"x"}, run_name="lan-1").content.decode()
    assert f"{project.slug}/runs/lan-1" in page


def test_a_preset_without_any_shows_none(looked):
    assert looked("jupyter", {("a.txt",): b"x"}).context["results"] == []


def test_they_are_those_of_the_version_that_the_job_was_made_from(looked, operator):
    result = {"path": "report-*.txt", "title": {"en": "Report", "vi": "Báo cáo"}}
    saved(operator, "lora", results=[result])
    offered(operator, "lora", 1)
    saved(operator, "lora", results=[result | {"path": "other"}])
    offered(operator, "lora", 2)
    answer = looked("lora", {("report-1.txt",): b"x", ("adapter_model.safetensors",): b"x"})
    assert [one.title for one in answer.context["results"]] == ["Trained adapters"]
    Job.objects.update(filled={"version": 1, "edition": 1})
    [shown] = results_shown(Job.objects.get(), listing_shown(Job.objects.get()))
    assert [entry.name for entry in shown.entries] == ["report-1.txt"]


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../b", ".ssh/id", "a//b", "a?b", "[a]", "a/b/c/d/e", "a b"]
)
def test_a_result_lies_below_the_jobs_folder(path):
    figures = figures_of(presets()["lora"]) | {"results": [{"path": path, "title": {"en": "a", "vi": "b"}}]}
    with pytest.raises(PresetInvalid):
        preset_make("lora", figures, presets()["lora"].script)


def test_they_are_written_to_the_file_and_read_back():
    lora = presets()["lora"]
    assert lora.results
    assert preset_make("lora", figures_parse(figures_write(figures_of(lora))), lora.script).results == lora.results
