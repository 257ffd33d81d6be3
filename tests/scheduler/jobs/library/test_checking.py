"""Which presets may be offered, and what the author of one that may not is told."""

import shutil
from dataclasses import replace

import pytest
from django.utils.translation import override

from scheduler.jobs.library.checking import preset_faults, script_of, scripts_of
from scheduler.jobs.library.comparing import compared
from scheduler.jobs.presets import presets
from scheduler.jobs.presets.definition import Preset
from scheduler.jobs.script import BLOCK_BEGIN, BLOCK_END

needs_shellcheck = pytest.mark.skipif(not shutil.which("shellcheck"), reason="the test stack's packages bring it")
FIRST_LINE = 'run "${launcher[@]}" "$program"'


@pytest.fixture(autouse=True)
def _english():
    with override("en"):
        yield


def changed(old: str, new: str, slug: str = "pytorch-single") -> Preset:
    preset = presets()[slug]
    assert old in preset.script
    return replace(preset, script=preset.script.replace(old, new, 1))


def test_what_came_with_the_product_may_be_offered():
    assert preset_faults(presets()["hello-gpu"]) == []
    assert preset_faults(presets()["pytorch-single"]) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        # In the form's block no reader of options would find them: they are refused, not dropped.
        ("@{options}\n", "@{options}\n#SBATCH --account=other\n", "Line 3: options of Slurm stand below"),
        ("@{options}\n", "@{options}\n#SLURM --qos=other\n", "Line 3: options of Slurm stand below"),
        # Below it the closed list holds, as for everybody's script.
        (FIRST_LINE, f"#SBATCH --qos=other\n{FIRST_LINE}", "--qos is set by the form"),
        (FIRST_LINE, f"#SBATCH --uid=0\n{FIRST_LINE}", "--uid is not accepted"),
        (FIRST_LINE, f"#SBATCH --reservation=x\n{FIRST_LINE}", "--reservation is not accepted"),
        (FIRST_LINE, f"{FIRST_LINE}\n#SBATCH --requeue", "no effect here"),
        (FIRST_LINE, f"{BLOCK_BEGIN}\n#SBATCH --qos=x\n{BLOCK_END}\n{FIRST_LINE}", "marks of the portal's block"),
        ("@{options}\n", f"@{{options}}\n{BLOCK_END}\n", "marks of the portal's block"),
        (FIRST_LINE, f"# \u202e\n{FIRST_LINE}", "nobody sees (U+202E)"),
        (FIRST_LINE, f"if true; then\n{FIRST_LINE}", "syntax error"),
        (FIRST_LINE, "# nothing", "no command"),
        ("#!/bin/bash", "#!/usr/bin/python3", "is no shell"),
        (FIRST_LINE, f"{FIRST_LINE}\r", "nobody sees (U+000D)"),
    ],
)
def test_a_script_that_may_not_be_offered(old, new, fault):
    found = preset_faults(changed(old, new))
    assert any(fault in one.text for one in found), found


@needs_shellcheck
def test_what_shellcheck_finds_is_a_fault_once_for_all_its_scripts():
    [fault] = preset_faults(changed(FIRST_LINE, f"{FIRST_LINE}\nrm $output"))
    assert "SC2086" in fault.text
    assert fault.where == "1×1, system"


def test_a_default_that_its_own_field_would_refuse_is_a_fault():
    preset = presets()["lora"]
    fields = [replace(one, default="9999") if one.name == "rank" else one for one in preset.fields]
    [fault] = preset_faults(replace(preset, fields=tuple(fields)))
    assert (fault.where, "between" in fault.text) == ("rank", True)


def test_it_must_fit_where_it_begins():
    [fault] = preset_faults(replace(presets()["pytorch-single"], nodes=2))
    assert "at most 1" in fault.text


def test_every_shape_and_environment_is_read():
    found = {(one.nodes, one.gpus_per_node, one.environment) for one in scripts_of(presets()["evaluation"])}
    assert len(found) == 2 * 5  # on one node only
    assert len(list(scripts_of(presets()["lora"]))) == 4 * 5


def test_a_script_is_shown_as_somebody_who_changed_nothing_would_submit_it():
    written = script_of(presets()["lora"], 2, 8, "conda")
    assert written.problems == ()
    assert "conda activate train" in written.script
    assert "#SBATCH --nodes=2" in written.script


def test_what_differs_is_shown_line_by_line():
    assert compared("a\nb\n", "a\nb\n") == []
    before = "\n".join(map(str, range(20)))
    lines = compared(before, before.replace("10", "ten").replace("19", "19\nmore"))
    assert [(line.text, line.before) for line in lines if line.kind == "less"] == [("10", 11)]
    assert [(line.text, line.after) for line in lines if line.kind == "more"] == [("ten", 11), ("more", 21)]
    assert [line.kind for line in lines].count("gap") == 1
