"""Every preset × shape × environment, against files to read.

golden/NAME.sh is the preset's script as it is submitted, at one shape, with the system's programs; golden/NAME.diff is
what another shape, or another environment, changes in it. A shape and an environment change different paragraphs, so
these two files say what every pair of them gives: each is put together from them and compared as a whole.

After a change that is meant: `GOLDEN=write .venv/bin/pytest tests/scheduler/jobs/presets/test_golden.py`, and read what
git shows.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path

import pytest

from scheduler.jobs.library.checking import SHELLCHECK
from scheduler.jobs.preflight import Shape
from scheduler.jobs.presets import presets
from scheduler.jobs.presets.render import Filled
from scheduler.jobs.script import script_check
from tests.scheduler.jobs.presets.cases import Case, case, cases, filled, written

GOLDEN = Path(__file__).with_name("golden")
WRITE = os.environ.get("GOLDEN") == "write"


def first(slug: str) -> Case:
    """The one that is written out."""
    return case(slug, 1 if presets()[slug].nodes_most == 1 else 2, 8)


def variants(slug: str) -> Iterator[Case]:
    """Those that differ from it in one thing: the shape or the environment."""
    shown = first(slug)
    for one in cases():
        same_shape = (one.nodes, one.gpus_per_node) == (shown.nodes, shown.gpus_per_node)
        if one.preset is shown.preset and same_shape != (one.environment == shown.environment):
            yield one


def differences(slug: str) -> str:
    lines = first(slug).script().split("\n")
    found: list[str] = []
    for one in variants(slug):
        names = (f"{slug}.sh", f"{one.nodes}x{one.gpus_per_node}-{one.environment.kind}")
        hunks = list(unified_diff(lines, one.script().split("\n"), *names, n=0, lineterm=""))
        found += hunks or [f"--- {names[0]}", f"+++ {names[1]}", "the same"]
    return "\n".join(found) + "\n"


@pytest.mark.parametrize("slug", presets())
def test_the_script_is_the_golden_one(slug: str):
    texts = {f"{slug}.sh": first(slug).script(), f"{slug}.diff": differences(slug)}
    for name, text in texts.items():
        if WRITE:
            (GOLDEN / name).write_text(text, encoding="utf-8")
        assert text == (GOLDEN / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("one", cases(), ids=lambda one: one.name)
def test_shape_and_environment_change_different_paragraphs(one: Case):
    shown = first(one.preset.slug)
    shaped = case(one.preset.slug, one.nodes, one.gpus_per_node)
    housed = case(one.preset.slug, shown.nodes, shown.gpus_per_node, one.environment.kind)
    expected = []
    parts = [each.script().split("\n\n") for each in (shown, shaped, housed)]
    for as_shown, as_shaped, as_housed in zip(*parts, strict=True):
        assert as_shown in (as_shaped, as_housed)
        expected.append(as_housed if as_shaped == as_shown else as_shaped)
    assert one.script().split("\n\n") == expected


@pytest.mark.parametrize("one", cases(), ids=lambda one: one.name)
def test_it_may_be_submitted_and_bash_reads_it(one: Case):
    script = one.script()
    assert script_check(script) == []
    assert script_check(one.preset.start) == []
    read = subprocess.run(["/bin/bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert (read.returncode, read.stderr) == (0, "")


def test_no_golden_file_is_left_over():
    assert {path.name for path in GOLDEN.iterdir()} == {f"{slug}.{end}" for slug in presets() for end in ("sh", "diff")}


def test_shellcheck_finds_nothing(tmp_path: Path):
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed: the test stack's packages bring it (ansible/roles/base/defaults)")
    for one in [one for slug in presets() for one in (first(slug), *variants(slug))]:
        (tmp_path / f"{one.name}.sh").write_text(one.script(), encoding="utf-8")
    files = [str(path) for path in sorted(tmp_path.iterdir())]
    found = subprocess.run([*SHELLCHECK, *files], text=True, capture_output=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_the_same_gives_the_same():
    one = case("sft", 2, 8, "apptainer")
    assert one.script() == one.script()


def test_a_preset_without_placeholders_is_its_file():
    hello = presets()["hello-gpu"]
    assert hello.start == hello.script
    assert not hello.has_blocks


def test_without_the_partitions_figures_slurm_is_asked():
    one = case("pytorch-multinode", 2, 8)
    script = written(Filled(one.preset, filled(one.preset)), Shape("h100", 8, 2, 3600))
    assert 'cpus_per_node="$SLURM_CPUS_ON_NODE"' in script
    assert "cpus_per_node=64" in one.script()
