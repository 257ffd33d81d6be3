"""No value leaves its shell word: it is refused, or bash reads back exactly what was typed."""

import re
import shlex
import subprocess
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.jobs.errors import JobRefused
from scheduler.jobs.preflight import Shape
from scheduler.jobs.presets import presets
from scheduler.jobs.presets.environments import Environment, environment_problems
from scheduler.jobs.presets.render import Filled
from scheduler.jobs.presets.values import refused_character, word
from scheduler.jobs.script import script_check
from tests.scheduler.jobs.presets.cases import case, written

HOSTILE = [
    "'",
    '"',
    "\\",
    "`id`",
    "$(id)",
    "${HOME}",
    "$HOME",
    "a b",
    "a;b",
    "a&b",
    "a|b",
    "a>b",
    "*",
    "?",
    "[0]=x",
    "[a]",
    "{a,b}",
    "~root",
    "!!",
    "#a",
    "=a",
    "-rf",
    "--",
    "'; touch /tmp/x; '",
    "@{program}",
    "@{launch}",
    "\u00a0",
    "hai từ",
    "()",
    "<(id)",
    "%s",
    "$'\\n'",
]
REFUSED = ["\n", "\r", "\0", "\t", "\x1b", "\x7f", "\u0085", "\u2028", "\u2029", "\u200b", "\u202e", "\ufeff", "\ud800"]
# Everything, and often the pieces that mean something to a shell.
TEXT = st.lists(st.one_of(st.text(max_size=6), st.sampled_from(HOSTILE), st.sampled_from(REFUSED)), max_size=6).map(
    "".join
)
# The same, of what is not refused everywhere; and of what a path may hold as well.
ALLOWED = TEXT.map(lambda text: "".join(letter for letter in text if not refused_character(letter))).map(
    lambda text: unicodedata.normalize("NFC", text)
)
PATHS = ALLOWED.map(lambda text: unicodedata.normalize("NFC", f"a{re.sub(r'[:,]', '', text).replace(chr(92), '')}z"))


def bash(script: str) -> list[str]:
    """The words that a script prints, each ended by NUL."""
    done = subprocess.run(["/bin/bash", "-c", script], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode().split("\0")[:-1]


def render(fields: dict[str, str], environment: Environment | None = None, project: str = "viet") -> str:
    preset = presets()["pytorch-single"]
    shape = Shape("h100", 1, 1, 3600)
    return written(Filled(preset, fields, environment or Environment()), shape, project=project)


def attempt(fields: dict[str, str], environment: Environment | None = None) -> tuple[str, set[tuple[str, str]]]:
    """The script, or "" and what is wrong: field and code."""
    try:
        return render(fields, environment), set()
    except JobRefused as refused:
        return "", {(problem.field, problem.code) for problem in refused.problems}


def problems(fields: dict[str, str], environment: Environment | None = None) -> set[tuple[str, str]]:
    script, found = attempt(fields, environment)
    assert script == ""
    return found


def assigned(script: str) -> list[str]:
    """What bash makes of the fields."""
    head = script.partition("set -eo pipefail")[0]
    return bash(head + '\nprintf "%s\\0" "$program" "$run_name" "$workdir" "${arguments[@]}"')


def entered(script: str) -> list[str]:
    """What bash makes of the environment: options of srun, and what stands before a command."""
    block = script[script.index("container=(") if "mounts=" not in script else script.index("mounts=") :]
    stubs = "PWD=/w; project_dir=/p; output=/o\n"
    return bash(stubs + block.partition("# ---- Derived")[0] + 'printf "%s\\0" "${container[@]}" "${inside[@]}"')


@settings(max_examples=30, deadline=None)
@given(st.lists(TEXT, min_size=10, max_size=60))
def test_a_word_is_read_back_as_it_was(values):
    good = [value for value in values if not refused_character(value)]
    for value in set(values) - set(good):
        with pytest.raises(ValueError, match="character"):
            word(value)
    assert bash("printf '%s\\0' " + " ".join(map(word, good)) if good else ":") == good


@pytest.mark.parametrize("value", HOSTILE)
def test_each_known_trick_stays_in_its_word(value):
    assert bash(f"a=({word(value)}); printf '%s\\0' \"${{a[@]}}\"") == [value]


@settings(max_examples=150, deadline=None)
@given(program=PATHS, workdir=PATHS, arguments=st.lists(ALLOWED, max_size=5))
def test_what_a_field_takes_arrives_unchanged(program, workdir, arguments):
    plain = render({"program": "train.py"})
    script = render({"program": program, "workdir": workdir, "arguments": shlex.join(arguments), "run_name": "r"})
    assert script.count("\n") == plain.count("\n")
    assert script.partition("set -eo pipefail")[2] == plain.partition("set -eo pipefail")[2]
    assert script_check(script) == []
    assert assigned(script) == [program, "r", workdir, *arguments]


@settings(max_examples=200, deadline=None)
@given(field=st.sampled_from(["program", "arguments", "workdir", "run_name", "restarts"]), value=TEXT)
def test_anything_is_refused_beside_its_field_or_adds_nothing(field, value):
    plain = render({"program": "train.py"})
    script, found = attempt({"program": "train.py"} | {field: value})
    assert bool(script) != bool(found)
    assert {name for name, _code in found} <= {field}
    if script and field != "restarts":
        assert script.partition("set -eo pipefail")[2] == plain.partition("set -eo pipefail")[2]
        assert len(assigned(script)) >= 3


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("field", ["program", "workdir"])
def test_a_known_trick_in_a_field_is_refused_or_arrives_unchanged(field, value):
    script, found = attempt({"program": "train.py"} | {field: f"a{value}z"})
    if script:
        assert f"a{value}z" in assigned(script)
    else:
        assert found == {(field, "path")}
        assert re.search(r"[:,\\]", value)


@pytest.mark.parametrize("value", REFUSED)
@pytest.mark.parametrize("field", ["program", "arguments", "workdir", "run_name", "restarts"])
def test_line_ends_and_invisible_characters_are_refused(field, value):
    found = problems({"program": "train.py"} | {field: f"a{value}b"})
    assert (field, "character") in found


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(["apptainer", "enroot"]), image=PATHS, mount=PATHS)
def test_what_an_environment_takes_arrives_unchanged(kind, image, mount):
    ending = {"apptainer": ".sif", "enroot": ".sqsh"}[kind]
    script = render({"program": "train.py"}, Environment(kind, image=image + ending, mounts=(f"/{mount}",)))
    plain = render({"program": "train.py"}, Environment(kind, image="a.sif", mounts=("/m",)))
    assert script.count("\n") == plain.count("\n")
    words = entered(script)
    assert len(words) == len(entered(plain))
    if kind == "apptainer":
        assert words[-3:] == ["--bind", f"/{mount}:/{mount}:ro", image + ending]
    else:
        assert f"--container-image={image}{ending}" in words
        assert f"--container-mounts=/w:/w,/p:/p,/o:/o,/{mount}:/{mount}:ro" in words


@settings(max_examples=200, deadline=None)
@given(kind=st.sampled_from(["module", "conda", "apptainer", "enroot"]), text=TEXT, mount=TEXT)
def test_any_environment_is_refused_beside_its_field_or_rendered(kind, text, mount):
    environment = Environment(kind, modules=(text,), conda=text, image=text, mounts=(f"/{mount}",))
    script, found = attempt({"program": "train.py"}, environment)
    assert bool(script) != bool(list(environment_problems(environment)))
    assert {field for field, _code in found} <= {"modules", "conda", "image", "mounts"}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, ("program", "required")),
        ({"program": "~/train.py"}, ("program", "path")),
        ({"program": "-c"}, ("program", "path")),
        ({"program": "a:b"}, ("program", "path")),
        ({"program": "a" * 2001}, ("program", "length")),
        ({"program": "x", "arguments": "'open"}, ("arguments", "quotes")),
        ({"program": "x", "arguments": "a " * 201}, ("arguments", "length")),
        ({"program": "x", "restarts": "101"}, ("restarts", "bounds")),
        ({"program": "x", "restarts": "-1"}, ("restarts", "bounds")),
        ({"program": "x", "restarts": "1.5"}, ("restarts", "int")),
        ({"program": "x", "restarts": "٣"}, ("restarts", "int")),
        ({"program": "x", "restarts": ""}, ("restarts", "required")),
        ({"program": "x", "run_name": "../x"}, ("run_name", "name")),
        ({"program": "x", "nobody": "y"}, ("nobody", "unknown")),
    ],
)
def test_what_is_wrong_stands_beside_its_field(fields, problem):
    assert problem in problems(fields)


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        (Environment("docker"), ("environment", "environment")),
        (Environment("module"), ("modules", "required")),
        (Environment("module", modules=("a b",)), ("modules", "form")),
        (Environment("module", modules=("a",) * 21), ("modules", "many")),
        (Environment("conda"), ("conda", "required")),
        (Environment("conda", conda="a/b"), ("conda", "form")),
        (Environment("conda", conda="a", conda_base="relative"), ("conda_base", "form")),
        (Environment("apptainer", image="image"), ("image", "form")),
        (Environment("apptainer", image="--fakeroot.sif"), ("image", "form")),
        (Environment("enroot", image="a,b"), ("image", "form")),
        (Environment("apptainer", image="a.sif", mounts=("/a:/b:rw",)), ("mounts", "form")),
        (Environment("enroot", image="a", mounts=("/a,/etc:/etc",)), ("mounts", "form")),
        (Environment("enroot", image="a", mounts=("relative",)), ("mounts", "form")),
    ],
)
def test_what_is_wrong_with_an_environment_stands_beside_its_field(environment, problem):
    assert problem in problems({"program": "train.py"}, environment)


def test_a_shape_that_a_preset_cannot_use_is_refused():
    one = case("evaluation", 2, 8)
    with pytest.raises(JobRefused) as refused:
        one.script()
    assert [(problem.field, problem.code) for problem in refused.value.problems] == [("nodes", "shape")]


def test_a_model_must_fit_the_number_of_gpus():
    one = case("megatron-pretrain", 1, 8)
    assert "--sequence-parallel" in one.script(tensor_parallel="4", pipeline_parallel="2")
    with pytest.raises(JobRefused) as refused:
        one.script(tensor_parallel="3")
    assert [(problem.field, problem.code) for problem in refused.value.problems] == [("tensor_parallel", "parallel")]


def test_a_preset_refuses_an_environment_that_it_does_not_have():
    hello = case("hello-gpu", 1, 1)
    with pytest.raises(JobRefused) as refused:
        written(Filled(hello.preset, environment=Environment("module", modules=("cuda",))), Shape("h100", 1, 1, 300))
    assert [problem.field for problem in refused.value.problems] == ["environment"]


def test_a_number_has_no_leading_zero():
    assert "restarts=7\n" in render({"program": "train.py", "restarts": "007"})
