"""A preset, what a person filled in and a shape become the form's lines of a job script. Pure: same in, same out.

What a shape decides is derived here and asked of nobody: how many tasks srun starts (one on each node for torchrun and
accelerate, which start a process for each GPU themselves; one for each GPU where srun does it), CPUs and threads,
rendezvous, NCCL, the signal before the time limit. `script_render` sets these lines into the marked block; what stands
below the last placeholder is the person's to change (`Preset.start`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from scheduler.jobs.preflight import Fix, Problem, Shape
from scheduler.jobs.presets.code import NO_CODE, Code, code_lines, code_problems
from scheduler.jobs.presets.definition import Preset, placeholders
from scheduler.jobs.presets.environments import SYSTEM, Environment, environment_lines, environment_problems
from scheduler.jobs.presets.launch import Launch, launch_lines
from scheduler.jobs.presets.values import ValueRefused, field_text, word
from scheduler.jobs.script import Head

LEAD_PART = 4  # a checkpoint is asked for at most this part of the time limit before its end: short jobs work too
MINUTE_S = 60


@dataclass(frozen=True)
class Resources:
    """What the partition gives beside each GPU (Slurm's DefCpuPerGPU, DefMemPerGPU)."""

    cpus_per_gpu: int
    memory_mb_per_gpu: int


@dataclass(frozen=True)
class Filled:
    """A preset as a person filled it in. `fields` are as typed; one that is missing has its default."""

    preset: Preset
    fields: Mapping[str, str] = field(default_factory=dict)
    environment: Environment = SYSTEM
    code: Code = NO_CODE


def head_render(
    filled: Filled, *, shape: Shape, project: str, resources: Resources | None = None, mounts: Sequence[str] = ()
) -> tuple[Head, list[Problem]]:
    """The form's lines, and everything that is wrong with what was filled in, each beside its field.

    `project` is the project's slug. Without `resources` the script asks Slurm for the CPUs that it has been given.
    `mounts`: paths of the catalogue that an image is given read-only, beside those that the person typed. What is wrong
    is left out of the lines, so that a half-filled form can show them; they run only without problems.
    """
    preset = filled.preset
    texts, problems = _field_texts(preset, filled.fields)
    place = filled.environment
    wrong_place = list(_environment_problems(preset, place))
    wrong_code = list(code_problems(filled.code))
    problems += [*wrong_place, *wrong_code, *_shape_problems(preset, shape), *_parallel_problems(preset, texts, shape)]
    empty = {one.name: "()" if one.kind == "words" else word("") for one in preset.fields}
    blocks = _blocks(
        preset,
        texts,
        environment=SYSTEM if wrong_place else replace(place, mounts=(*place.mounts, *mounts)),
        code=NO_CODE if wrong_code else filled.code,
        shape=shape,
        project=project,
        resources=resources,
    )
    lines = preset.script.split("\n")[: preset.cut]
    options: list[str] = []
    # From below: what becomes several lines moves none that is still to come.
    for number, assigned, name in reversed(list(placeholders(preset.script))):
        if assigned:
            lines[number] = f"{assigned}={(empty | texts | _derived(preset, shape))[name]}"
        elif name == "options":
            options = blocks[name]()
            del lines[number]
        else:
            lines[number : number + 1] = blocks[name]()
    return Head(tuple(options), tuple(lines[1:])), problems


def _blocks(
    preset: Preset,
    texts: dict[str, str],
    *,
    environment: Environment,
    code: Code,
    shape: Shape,
    project: str,
    resources: Resources | None,
) -> dict[str, Callable[[], list[str]]]:
    """What stands for each block."""
    lead_s = lead_seconds(preset, shape)
    restarts = int(texts.get("restarts", "0"))
    launch = Launch(
        kind=preset.launcher,
        nodes=shape.nodes,
        gpus_per_node=shape.gpus_per_node,
        gpu_type=shape.gpu_type,
        cpus_per_gpu=resources.cpus_per_gpu if resources else None,
        memory_mb_per_gpu=resources.memory_mb_per_gpu if resources else None,
        lead_s=lead_s,
        restarts=restarts,
    )
    return {
        "options": lambda: _option_lines(lead_s, restarts),
        "folders": lambda: _folder_lines(project, code),
        "environment": lambda: environment_lines(environment),
        "launch": lambda: launch_lines(launch),
    }


def lead_seconds(preset: Preset, shape: Shape) -> int:
    """How long before the time limit the job is told to save its state; 0: it is not told."""
    return min(preset.checkpoint_lead_s, shape.time_limit_s // LEAD_PART)


def restarts_of(filled: Filled | None) -> int:
    """How often the script that comes of it lets its job go on after the time limit."""
    texts = _field_texts(filled.preset, filled.fields)[0] if filled else {}
    return int(texts.get("restarts", "0"))


def _derived(preset: Preset, shape: Shape) -> dict[str, str]:
    """The figures that `DERIVED` names."""
    # After the signal, so that the script knows that the end is the time limit's, and with time to write.
    exit_s = shape.time_limit_s - lead_seconds(preset, shape) * 2 // 3
    return {"exit_minutes": str(max(1, exit_s // MINUTE_S))}


def _field_texts(preset: Preset, given: Mapping[str, str]) -> tuple[dict[str, str], list[Problem]]:
    texts: dict[str, str] = {}
    problems: list[Problem] = []
    for one in preset.fields:
        try:
            texts[one.name] = field_text(one, given.get(one.name, one.default))
        except ValueRefused as refused:
            problems.append(refused.problem)
    unknown = sorted(set(given) - {one.name for one in preset.fields})
    problems += [Problem("unknown", name, _("This preset has no such field.")) for name in unknown]
    return texts, problems


def _environment_problems(preset: Preset, environment: Environment) -> Iterator[Problem]:
    problems = list(environment_problems(environment))
    if not problems and environment.kind not in preset.environments:
        problems = [Problem("environment", "environment", _("This preset does not run in such an environment."))]
    yield from problems


def _shape_problems(preset: Preset, shape: Shape) -> Iterator[Problem]:
    if preset.nodes_most and shape.nodes > preset.nodes_most:
        text = _("Nodes for this preset: at most %(most)d.")
        fix = Fix("nodes", str(preset.nodes_most), gettext("Take %(n)d nodes") % {"n": preset.nodes_most})
        yield Problem("shape", "nodes", text, (("most", preset.nodes_most),), (fix,))


def _parallel_problems(preset: Preset, texts: dict[str, str], shape: Shape) -> Iterator[Problem]:
    if not preset.parallel or not set(preset.parallel) <= set(texts):
        return
    product = 1
    for name in preset.parallel:
        product *= int(texts[name])
    if shape.gpus % product:
        text = _("One copy of the model spans %(product)d GPUs: the job's %(gpus)d must be a multiple of that.")
        yield Problem("parallel", preset.parallel[0], text, (("product", product), ("gpus", shape.gpus)))


def _option_lines(lead_s: int, restarts: int) -> list[str]:
    if not lead_s:
        return []
    options = [f"#SBATCH --signal=B:USR1@{lead_s}"]
    if restarts:
        # A run that continues writes on in the same log.
        options += ["#SBATCH --requeue", "#SBATCH --open-mode=append"]
    return options


def _folder_lines(project: str, code: Code) -> list[str]:
    # Results lie in the job's own folder, which its page lists, unless they have a name, under which later jobs go on.
    # HF_HOME is the project's, so that a model is fetched once for all; a person's token stays in their own home.
    return [
        "set -eo pipefail",
        f'project_dir="${{SAOLA_PROJECTS:-$HOME/saola}}"/{word(project)}',
        'output="$SLURM_SUBMIT_DIR"',
        'if [ -n "$run_name" ]; then output="$project_dir/runs/$run_name"; fi',
        'export HF_HOME="$project_dir/cache/huggingface"',
        'export HF_TOKEN_PATH="${HF_TOKEN_PATH:-$HOME/.cache/huggingface/token}"',
        'mkdir -p "$output" "$HF_HOME"',
        *code_lines(code),
        'if [ -n "$workdir" ]; then cd -- "$workdir"; fi',
        'echo "results: $output"',
    ]
