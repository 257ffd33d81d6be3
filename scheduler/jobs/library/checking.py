"""Whether a preset may be offered: what its file says holds together, and every script that it can write is sound.

One that came with the product has passed this in its tests; one that an operator wrote passes it before anybody is
offered it. Scripts are read here, by bash and by shellcheck, and never run.
"""

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from scheduler.jobs.durations import slurm_time
from scheduler.jobs.preflight import Problem, Shape
from scheduler.jobs.presets.definition import Field, Preset
from scheduler.jobs.presets.environments import Environment
from scheduler.jobs.presets.render import Filled, Resources, head_render
from scheduler.jobs.presets.values import ValueRefused, field_text, refused_character
from scheduler.jobs.script import ANY_DIRECTIVE, BLOCK_BEGIN, BLOCK_END, Block, script_check, script_render

SHAPES = ((1, 1), (1, 8), (2, 8), (4, 8))  # nodes × GPUs per node
ENVIRONMENTS = (
    Environment(),
    Environment("module", modules=("cuda/12.4", "openmpi/5.0")),
    Environment("conda", conda="train"),
    Environment("apptainer", image="images/pytorch 24.05.sif", mounts=("/data/vi wiki",)),
    Environment("enroot", image="nvcr.io#nvidia/pytorch:24.05-py3", mounts=("/data/vi wiki",)),
)
H100 = Resources(cpus_per_gpu=8, memory_mb_per_gpu=120_000)
# What is meant for another shell stands in single quotes (SC2016); files of the site cannot be followed (SC1091).
SHELLCHECK = ["shellcheck", "--shell=bash", "--severity=style", "--exclude=SC2016,SC1091"]
SHELLCHECK_S, BASH_S = 30, 5
FAULTS_MOST = 20
GPU_TYPE = "h100"

# Something that a required field without a default takes. Numbers and choices have theirs.
_SAMPLES = {
    "path": "train.py",
    "hub": "Qwen/Qwen2.5-7B",
    "name": "first",
    "names": "one,two",
    "text": "a b",
    "words": "--note 'two words' --seed 7",
}
_BASH = re.compile(r".*?line (\d+): (.*)")
_SHELLCHECK = re.compile(r"(?P<file>[^:]+):(?P<line>\d+):\d+: (?P<text>.*)")
_DEPENDS_ON_SHAPE = ("shape", "parallel")


@dataclass(frozen=True)
class Fault:
    """`where`: of which field, or of which script; "" of the whole."""

    text: str
    where: str = ""


@dataclass(frozen=True)
class Written:
    """One script that the preset writes, and what was wrong with what was filled in for it."""

    nodes: int
    gpus_per_node: int
    environment: str
    script: str
    problems: tuple[Problem, ...]

    @property
    def name(self) -> str:
        return f"{self.nodes}×{self.gpus_per_node}, {self.environment}"


def preset_faults(preset: Preset) -> list[Fault]:
    """All that keeps it from being offered, each once; empty: it may be."""
    faults = [*_own_faults(preset), *_value_faults(preset)]
    if faults:
        return faults[:FAULTS_MOST]  # what a script would say of these again
    scripts = list(scripts_of(preset))
    begins = script_of(preset, preset.nodes, preset.gpus_per_node, preset.environments[0])
    faults += [Fault(str(problem), begins.name) for problem in begins.problems]
    for one in [begins, *scripts]:
        faults += [Fault(str(found), one.name) for found in script_check(one.script)]
        faults += bash_faults(one)
    if not faults:
        faults += shellcheck_faults(_different(scripts))
    return _once(faults)[:FAULTS_MOST]


def scripts_of(preset: Preset) -> Iterator[Written]:
    """Every shape × environment that it takes."""
    for nodes, gpus_per_node in SHAPES:
        for environment in preset.environments:
            one = script_of(preset, nodes, gpus_per_node, environment)
            if not any(problem.code in _DEPENDS_ON_SHAPE for problem in one.problems):
                yield one


def script_of(preset: Preset, nodes: int, gpus_per_node: int, environment: str) -> Written:
    """As a person who changed nothing would submit it."""
    place = next(one for one in ENVIRONMENTS if one.kind == environment)
    shape = Shape(GPU_TYPE, gpus_per_node, nodes, preset.time_limit_s)
    head, problems = head_render(Filled(preset, samples(preset), place), shape=shape, project="project", resources=H100)
    size = {"nodes": nodes, "gpu_type": GPU_TYPE, "gpus_per_node": gpus_per_node}
    block = Block(preset.slug, "account", "qos", GPU_TYPE, **size, time_limit=slurm_time(preset.time_limit_s))  # type: ignore[arg-type]
    script = "" if script_check(preset.start) else script_render(preset.start, block, head)
    return Written(nodes, gpus_per_node, environment, script, tuple(problems))


def samples(preset: Preset) -> dict[str, str]:
    """Something for each field that must be filled in and has no default; and restarts, where it knows them."""
    needed = (one for one in preset.fields if (one.required and not one.default) or one.name == "restarts")
    return {one.name: _sample(one) for one in needed}


def has_shellcheck() -> bool:
    return _shellcheck() is not None


# ---- what the file says


def _own_faults(preset: Preset) -> Iterator[Fault]:
    """Of the script as its author wrote it: what the rendered ones would hide, because the form's block is not read."""
    lines = preset.script.split("\n")
    if "@{" in lines[0] or any(line in (BLOCK_BEGIN, BLOCK_END) for line in lines):
        yield Fault(gettext("The marks of the portal's block are the portal's to write."))
    for number, line in enumerate(lines, 1):
        letter = refused_character(line.replace("\t", " "))
        if letter:
            text = gettext("Line %(line)d holds a character that nobody sees (U+%(letter)s).")
            yield Fault(text % {"line": number, "letter": f"{ord(letter):04X}"})
        elif 1 < number <= preset.cut and preset.has_blocks and line.startswith(ANY_DIRECTIVE):
            text = gettext("Line %(line)d: options of Slurm stand below the last placeholder, above the first command.")
            yield Fault(text % {"line": number})
    yield from (
        Fault(str(found), gettext("The lines that a person begins with")) for found in script_check(preset.start)
    )


def _value_faults(preset: Preset) -> Iterator[Fault]:
    for one in preset.fields:
        for value in (one.default, *one.suggestions, *one.choices):
            if not value:
                continue
            try:
                field_text(one, value)
            except ValueRefused as refused:
                yield Fault(f"“{value[:60]}”: {refused.problem}", one.name)


def _sample(field: Field) -> str:
    if field.kind == "choice":
        return field.choices[0]
    if field.name == "restarts":
        return str(int(min(3, field.most or 0)))
    if field.kind in ("int", "number"):
        return f"{field.least:g}" if field.kind == "number" else str(int(field.least or 0))
    return _SAMPLES[field.kind]


# ---- what other programs say


def bash_faults(one: Written) -> list[Fault]:
    """Whether bash can read it; nothing of it is run."""
    found = _run(["/bin/bash", "-n"], one.script, BASH_S)
    if found is None:
        return [Fault(gettext("It took too long to be read."), one.name)]
    if found.returncode == 0 and not found.stderr:
        return []
    said = [_BASH.match(line) for line in found.stderr.splitlines()]
    return [
        Fault(gettext("Line %(line)s: %(sentence)s") % {"line": match[1], "sentence": match[2]}, one.name)
        for match in said
        if match
    ] or [Fault(found.stderr[:300], one.name)]


def shellcheck_faults(scripts: Sequence[Written]) -> list[Fault]:
    """What shellcheck says of them, each sentence once; nothing where it is not installed."""
    if not has_shellcheck() or not scripts:
        return []
    with TemporaryDirectory() as folder:
        names = {}
        for number, one in enumerate(scripts):
            path = Path(folder, f"{number}.sh")
            path.write_text(one.script, encoding="utf-8")
            names[str(path)] = one.name
        found = _run([*SHELLCHECK, "--format=gcc", "--norc", *names], "", SHELLCHECK_S)
    if found is None:
        return [Fault(gettext("It took too long to be read."))]
    faults, said = [], set()
    for match in filter(None, map(_SHELLCHECK.fullmatch, found.stdout.splitlines())):
        if match["text"] not in said:
            said.add(match["text"])
            text = gettext("Line %(line)s: %(sentence)s") % {"line": match["line"], "sentence": match["text"]}
            faults.append(Fault(text, names.get(match["file"], "")))
    return faults


def _different(scripts: Sequence[Written]) -> list[Written]:
    """Those that differ from the first in one thing: shape and environment change different paragraphs."""
    if not scripts:
        return []
    first = scripts[0]
    shape = (first.nodes, first.gpus_per_node)
    return [one for one in scripts if (one.nodes, one.gpus_per_node) == shape or one.environment == first.environment]


def _once(faults: Sequence[Fault]) -> list[Fault]:
    """The same sentence of several scripts is one fault, named after the first."""
    return list({fault.text: fault for fault in reversed(faults)}.values())[::-1]


def _run(command: list[str], text: str, limit_s: int) -> subprocess.CompletedProcess[str] | None:
    # Nothing of ours in what it can see; its sentences in English, as an author looks them up.
    plain = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8"}
    try:
        return subprocess.run(
            command, input=text, text=True, capture_output=True, check=False, timeout=limit_s, env=plain
        )
    except subprocess.TimeoutExpired:
        return None


@cache
def _shellcheck() -> str | None:
    return which(SHELLCHECK[0])


# What a person reads where shellcheck did not look.
NO_SHELLCHECK: str | Promise = _("shellcheck is not installed here: the scripts were read by bash alone.")
