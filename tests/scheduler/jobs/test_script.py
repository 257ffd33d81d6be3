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
    Head,
    block_opened,
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
HEAD = Head(("#SBATCH --requeue",), ("a=1", "b=2"))
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


def test_the_block_stands_below_the_last_option_and_above_the_first_command():
    lines = script_render(GOOD, BLOCK).split("\n")
    assert lines[:3] == ["#!/bin/bash", "#SBATCH --signal=B:USR1@120", BLOCK_BEGIN]
    assert lines.index(EXPORT_LINE) < lines.index(BLOCK_END) < lines.index("# a comment") < lines.index("set -e")
    assert "#SBATCH --gres=gpu:h100:4" in lines
    assert script_render("#!/bin/bash\necho\n", BLOCK).split("\n")[1] == BLOCK_BEGIN


def test_what_a_preset_writes_stands_inside():
    lines = script_render(GOOD, BLOCK, HEAD).split("\n")
    assert lines.index("#SBATCH --requeue") < lines.index(EXPORT_LINE) < lines.index("a=1") < lines.index(BLOCK_END)
    assert strip_block("\n".join(lines)) == GOOD


def test_edits_survive_and_the_block_is_replaced():
    rendered = script_render(GOOD, BLOCK, HEAD)
    edited = rendered.replace("--nodes=2", "--nodes=9").replace("srun hostname", "srun id").replace("a=1", "a=2")
    edited = edited.replace("#!/bin/bash\n", "#!/bin/bash\n# mine, above\n")
    again = script_render(edited, BLOCK, HEAD)
    assert again == rendered.replace("srun hostname", "srun id").replace(
        "#!/bin/bash\n", "#!/bin/bash\n# mine, above\n"
    )
    assert script_check(rendered) == []
    assert BLOCK_BEGIN not in strip_block(rendered)


def test_the_block_stays_where_the_person_moved_it_while_options_still_work_there():
    block = script_render("#!/bin/bash\necho\n", BLOCK).split("\n")[1:-2]

    def place(*lines: str) -> int:
        rendered = script_render("\n".join(["#!/bin/bash", *lines]), BLOCK)
        assert strip_block(rendered).split("\n")[1:-1] == [line for line in lines if line not in block]
        return rendered.split("\n").index(BLOCK_BEGIN)

    assert place("# a", "# b", *block, "# c", "echo") == 3
    assert place("# a", "echo", *block, "echo") == 2
    assert place(*block, "#SBATCH --requeue", "echo") == 2


@pytest.mark.parametrize("mark", [BLOCK_BEGIN, BLOCK_END])
def test_a_block_that_lost_a_mark_is_said_and_not_guessed(mark):
    rendered = script_render(GOOD, BLOCK).replace(mark + "\n", "")
    assert "block" in codes(rendered)


def test_a_block_that_was_pasted_twice_is_one():
    rendered = script_render(GOOD, BLOCK)
    block = rendered[rendered.index(BLOCK_BEGIN) : rendered.index(BLOCK_END) + len(BLOCK_END) + 1]
    assert script_render(rendered.replace(block, block + block), BLOCK) == rendered


def test_what_a_preset_wrote_can_become_the_persons_own():
    own = block_opened(script_render(GOOD, BLOCK, HEAD))
    assert BLOCK_BEGIN not in own
    assert "--nodes" not in own
    assert {"#SBATCH --requeue", "a=1", "set -e"} <= set(own.split("\n"))
    assert script_check(own) == []
    assert script_render(own, BLOCK).index("#SBATCH --requeue") < script_render(own, BLOCK).index(EXPORT_LINE)


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
