"""The files of presets: what a preset may be, and what its author is told."""

import pytest
from django.utils.translation import override

from scheduler.jobs.presets import presets
from scheduler.jobs.presets.definition import ENVIRONMENTS, PresetInvalid, preset_read
from scheduler.jobs.presets.values import field_text

TOML = """
version = 1
gpus_per_node = 1
nodes = 1
time_limit_s = 600
environments = ["system", "module"]
launcher = "torchrun"
title = {en = "A", vi = "B"}
description = {en = "A", vi = "B"}
fields = [
  {name = "program", kind = "path", title = {en = "A", vi = "B"}},
  {name = "workdir", kind = "path", title = {en = "A", vi = "B"}},
  {name = "run_name", kind = "name", title = {en = "A", vi = "B"}},
]
"""
SCRIPT = """#!/bin/bash
@{options}
program=@{program}
workdir=@{workdir}
run_name=@{run_name}
@{folders}
@{environment}
@{launch}
run "${launcher[@]}" "$program"
"""


@pytest.fixture(autouse=True)
def _english():
    with override("en"):
        yield


def read(folder, toml=TOML, script=SCRIPT):
    (folder / "mine.toml").write_text(toml)
    (folder / "mine.sh").write_text(script)
    return preset_read(folder / "mine.toml", {})


def test_a_preset_is_read(tmp_path):
    preset = read(tmp_path)
    assert (preset.slug, preset.launcher, preset.environments) == ("mine", "torchrun", ("system", "module"))
    with override("vi"):
        assert (preset.title, str(preset.fields[0].title)) == ("B", "B")


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        (SCRIPT.replace("@{program}", "@{programme}"), "programme"),
        (SCRIPT.replace("@{launch}", "@{lunch}"), "lunch"),
        (SCRIPT.replace("@{environment}\n", ""), "blocks"),
        (SCRIPT.replace("@{folders}\n@{environment}", "@{environment}\n@{folders}"), "order"),
        (SCRIPT.replace("program=@{program}", 'program="@{program}"'), "Line 3"),
        (SCRIPT.replace("program=@{program}", "program=a@{program}"), "Line 3"),
        (SCRIPT.replace("program=@{program}", "program=@{program} id"), "Line 3"),
        (SCRIPT.replace("program=@{program}", "# program=@{program}"), "Line 3"),
        (SCRIPT.replace("program=@{program}", "cat <<E\nprogram=@{program}\nE"), "Line 4"),
        (SCRIPT + "echo @{program}\n", "Line 10"),
        (SCRIPT + "more=@{program}\n", "Line 10"),
        (SCRIPT.replace("program=@{program}\n", ""), "program"),
        (SCRIPT.replace("workdir=@{workdir}\n", ""), "workdir"),
    ],
)
def test_a_misplaced_or_unknown_placeholder_is_an_error(tmp_path, script, fault):
    with pytest.raises(PresetInvalid, match=fault):
        read(tmp_path, script=script)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("version = 1", "version = 0", "version"),
        ("version = 1", "version = true", "version"),
        ("version = 1", "version = ", "mine"),
        ("nodes = 1", 'nodes = "1"', "nodes"),
        ("time_limit_s = 600", "time_limit_s = 1", "time_limit_s"),
        ('"torchrun"', '"mpirun"', "launcher"),
        ('"torchrun"', '"none"', "launcher"),
        ('["system", "module"]', '["docker"]', "environments"),
        ('title = {en = "A", vi = "B"}', 'title = {en = "A"}', "title"),
        ('kind = "path"', 'kind = "file"', "kind"),
        ('kind = "path"', 'kind = "int"', "least"),
        ('kind = "path"', 'kind = "choice"', "choice"),
        ('name = "program"', 'name = "workdir"', "same name"),
        ('name = "program"', 'name = "script"', "no name"),
        ('name = "program"', 'name = "Program"', "no name"),
        ('name = "program"', 'colour = "red", name = "program"', "colour"),
        ("version = 1", "version = 1\ncheckpoint_lead_s = 60", "restarts"),
        ("version = 1", 'version = 1\nparallel = ["program"]', "parallel"),
        ("version = 1", "version = 1\nwalltime = 3", "walltime"),
    ],
)
def test_what_a_preset_may_not_say(tmp_path, old, new, fault):
    assert old in TOML
    with pytest.raises(PresetInvalid, match=fault):
        read(tmp_path, toml=TOML.replace(old, new, 1))


def test_a_missing_script_is_an_error(tmp_path):
    (tmp_path / "mine.toml").write_text(TOML)
    with pytest.raises(PresetInvalid, match=r"mine\.sh"):
        preset_read(tmp_path / "mine.toml", {})


def test_all_that_were_promised_are_there():
    assert set(presets()) == {
        *("hello-gpu", "pytorch-single", "pytorch-multinode", "accelerate", "deepspeed", "megatron-pretrain"),
        *("sft", "lora", "evaluation", "jupyter", "free-script"),
    }
    for slug, preset in presets().items():
        assert preset.environments == (("system",) if slug == "hello-gpu" else ENVIRONMENTS)


def test_torchrun_is_never_started_once_for_each_gpu():
    for path in presets().values():
        assert "ntasks-per-node" not in path.script.replace("--ntasks-per-node=1 ", "")


def test_defaults_are_values_that_their_fields_take():
    for preset in presets().values():
        for field in preset.fields:
            for value in (field.default, *field.suggestions):
                if value or not field.required:
                    field_text(field, value)
