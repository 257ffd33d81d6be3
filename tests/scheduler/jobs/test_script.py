import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.jobs.script import (
    ALLOWED_OPTIONS,
    BLOCK_BEGIN,
    BLOCK_END,
    EXPORT_LINE,
    MAX_SCRIPT_BYTES,
    Block,
    script_check,
    script_render,
    strip_block,
)

BLOCK = Block(
    job_name="train",
    account="sl-team",
    qos="sl-team-h100-x",
    partition="h100",
    nodes=2,
    gpu_type="h100",
    gpus_per_node=4,
    time_limit="02:00:00",
)
GOOD = "#!/bin/bash\n#SBATCH --signal=B:USR1@120\n# a comment\n\nset -e\nsrun hostname\n"


def codes(script: str) -> list[str]:
    return [problem.code for problem in script_check(script)]


def test_it_accepts_a_plain_script():
    assert codes(GOOD) == []


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("", "empty"),
        ("  \n\n", "empty"),
        ("#!/bin/bash\n# nothing\n", "empty"),
        ("#!/bin/bash\necho a\0b\n", "nul"),
        ("#!/bin/bash\r\necho\r\n", "crlf"),
        ("#!/bin/bash\necho a\rb\n", "crlf"),
        ("#!/bin/bash\n" + "#" * MAX_SCRIPT_BYTES + "\necho\n", "size"),
        ("echo hello\n", "shebang"),
        ("\n#!/bin/bash\necho\n", "shebang"),
        ("#!/usr/bin/python3\nprint()\n", "shebang"),
        ("#!/usr/bin/env python3\nprint()\n", "shebang"),
        ("#!/bin/bash -c\necho\n", "shebang"),
        ("#!/bin/bash\n#PBS -l walltime=1:00\necho\n", "foreign"),
        ("#!/bin/bash\n#BSUB -W 1\necho\n", "foreign"),
        ("#!/bin/bash\necho\n#PBS -q x\n", "foreign"),
        ("#!/bin/bash\necho\n#SBATCH --signal=USR1\n", "late"),
        ("#!/bin/bash\necho\n#SBATCH --array=1-9\n", "late"),
    ],
)
def test_it_refuses(script, code):
    assert code in codes(script)


@pytest.mark.parametrize(
    "shebang",
    ["#!/bin/sh", "#!/bin/bash", "#! /bin/bash -e", "#!/usr/bin/env bash", "#!/bin/bash -l", "#!/usr/bin/bash"],
)
def test_it_accepts_shells(shebang):
    assert codes(f"{shebang}\necho\n") == []


@pytest.mark.parametrize(
    ("directive", "named"),
    [
        ("#SBATCH --array=1-9", "--array"),
        ("#SBATCH -a 1-9", "-a"),
        ("#SBATCH -a1-9", "-a"),
        ("#SBATCH --gpus=8", "--gpus"),
        ("#SBATCH -G 8", "-G"),
        ("#SBATCH hetjob", "hetjob"),
        ("#SBATCH packjob", "packjob"),
        ("#SBATCH --exclusive", "--exclusive"),
        ("#SBATCH --clusters=other", "--clusters"),
        ("#SBATCH -M other", "-M"),
        ("#SBATCH --reservation=x", "--reservation"),
        ("#SBATCH --time=7-0", "--time"),
        ("#SBATCH -t 7-0", "-t"),
        ("#SBATCH --comment=x", "--comment"),
        ("#SBATCH --account x", "--account"),
        ("#SBATCH --uid=0", "--uid"),
        ("#SBATCH --sig=USR1", "--sig"),  # sbatch would take the abbreviation
        ("#SBATCH --signal=USR1 --array=1-2", "--array"),
        ("#SBATCH '--array=1-2'", "--array"),
        ("#SBATCH \\--array=1-2", "--array"),
        ('#SBATCH --sign"al=USR1" -a 3', "-a"),
        ("#SBATCH--array=1", "--array"),
        ("#SBATCH\t--array=1", "--array"),
        ("#SLURM --array=1", "--array"),
        ("#SBATCH :", ":"),
        ("#SBATCH --export=ALL", "--export"),
        ("#SBATCH --wrap=x", "--wrap"),
        ("#SBATCH -Q", "-Q"),
    ],
)
def test_it_names_the_option_that_it_refuses(directive, named):
    problems = script_check(f"#!/bin/bash\n{directive}\necho\n")
    assert [(problem.code, problem.line) for problem in problems] == [("option", 2)]
    assert named in str(problems[0])


@pytest.mark.parametrize(
    "directive",
    [
        "#SBATCH --signal=B:USR1@120",
        "#SBATCH --signal B:USR1@120",
        '#SBATCH --signal="B:USR1@120" # before the end',
        "#SBATCH --dependency=afterok:12:13,afterany:14",
        "#SBATCH -d singleton",
        "#SBATCH --begin=2026-12-01T08:00:00",
        "#SBATCH -b now+1hour",
        "#SBATCH --mail-type=END,FAIL --mail-user=lan@example.vn",
        "#SBATCH --no-requeue",
        "#SBATCH --requeue --open-mode=append",
        "##SBATCH --array=1-9",
        "# SBATCH --array=1-9",
        " #SBATCH --array=1-9",
        "#SBATCH",
        "#SBATCH # --array=1",
    ],
)
def test_it_lets_harmless_options_and_comments_pass(directive):
    assert codes(f"#!/bin/bash\n{directive}\necho\n") == []


@pytest.mark.parametrize(
    "directive",
    ["--signal", "--signal=", "--signal=a;b", "--requeue=yes", "--mail-user=a;rm@x", "--nice=-5", "-b$(id)"],
)
def test_it_refuses_a_value_that_sbatch_would_not_take(directive):
    assert codes(f"#!/bin/bash\n#SBATCH {directive}\necho\n") == ["value"]


def test_no_option_that_costs_is_allowed():
    size = {"--array", "--gpus", "--gres", "--nodes", "--ntasks", "--time", "--time-min", "--exclusive", "--mem"}
    identity = {"--account", "--qos", "--partition", "--uid", "--gid", "--comment", "--export", "--clusters"}
    assert not (size | identity | {"--reservation"}) & set(ALLOWED_OPTIONS)


def test_the_export_line_stands_directly_before_the_first_command():
    lines = script_render(GOOD, BLOCK).split("\n")
    assert lines[lines.index("set -e") - 1] == EXPORT_LINE
    assert lines.index("#SBATCH --signal=B:USR1@120") < lines.index(EXPORT_LINE)
    assert lines[0] == "#!/bin/bash"
    assert lines[1] == BLOCK_BEGIN
    assert "#SBATCH --gres=gpu:h100:4" in lines


def test_edits_survive_and_the_block_is_replaced():
    rendered = script_render(GOOD, BLOCK)
    edited = rendered.replace("--nodes=2", "--nodes=9").replace("srun hostname", "srun id")
    again = script_render(edited, BLOCK)
    assert again == rendered.replace("srun hostname", "srun id")
    assert script_check(rendered) == []
    assert BLOCK_BEGIN not in strip_block(rendered)


def test_line_numbers_are_those_that_the_person_sees():
    rendered = script_render(GOOD, BLOCK) + "#SBATCH --array=1\n"
    [problem] = script_check(rendered)
    assert rendered.split("\n")[problem.line - 1] == "#SBATCH --array=1"


lines = st.lists(
    st.one_of(
        st.sampled_from(["", "# x", "#SBATCH --requeue", "echo", "  ", BLOCK_BEGIN, BLOCK_END, EXPORT_LINE]),
        st.text(alphabet=st.characters(blacklist_characters="\0\r\n", blacklist_categories=["Cs"]), max_size=20),
    ),
    max_size=12,
)


@given(lines)
def test_rendering_twice_is_rendering_once(body):
    script = "\n".join(["#!/bin/bash", *body])
    if script_check(script):
        return
    once = script_render(script, BLOCK)
    assert script_check(once) == []
    assert script_render(once, BLOCK) == once
    rendered = once.split("\n")
    commands = [line for line in rendered if line.strip(" \t\v\f\r") and not line.lstrip(" \t\v\f\r").startswith("#")]
    assert commands[0] == EXPORT_LINE or commands[0].strip() == EXPORT_LINE


@given(st.text(max_size=200))
def test_no_text_breaks_the_check(script):
    for problem in script_check(script):
        assert str(problem)
