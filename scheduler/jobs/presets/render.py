"""A preset, what a person filled in, an environment and a shape become a job script. Pure: the same in, the same out.

What a shape decides is derived here and asked of nobody: how many tasks srun starts (one on each node for torchrun and
accelerate, which start a process for each GPU themselves; one for each GPU where srun does it), CPUs and threads,
rendezvous, NCCL, the signal before the time limit. The form's own block and the export line are added when the job is
submitted (`script_render`), as to every script.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

from scheduler.jobs.errors import JobRefused
from scheduler.jobs.preflight import Problem, Shape
from scheduler.jobs.presets.definition import Preset, placeholders
from scheduler.jobs.presets.environments import Environment, environment_lines, environment_problems
from scheduler.jobs.presets.launch import Launch, launch_lines
from scheduler.jobs.presets.values import ValueRefused, field_text, word

LEAD_PART = 4  # a checkpoint is asked for at most this part of the time limit before its end: short jobs work too
MINUTE_S = 60


@dataclass(frozen=True)
class Resources:
    """What the partition gives beside each GPU (Slurm's DefCpuPerGPU, DefMemPerGPU)."""

    cpus_per_gpu: int
    memory_mb_per_gpu: int


def preset_render(
    preset: Preset,
    *,
    fields: Mapping[str, str],
    environment: Environment,
    shape: Shape,
    project: str,
    resources: Resources | None = None,
) -> str:
    """The script, ready for `script_check`. `fields` are as typed; one that is missing has its default.

    `project` is the project's slug. Without `resources` the script asks Slurm for the CPUs that it has been given.
    Raises JobRefused with everything that is wrong, each problem beside its field.
    """
    texts, problems = _field_texts(preset, fields)
    problems += _problems(preset, texts, environment, shape)
    if problems:
        raise JobRefused(problems)
    texts |= _derived(preset, shape)
    blocks = _blocks(preset, texts, environment, shape, project, resources)
    lines = preset.script.split("\n")
    # From below: what becomes several lines moves none that is still to come.
    for number, assigned, name in reversed(list(placeholders(preset.script))):
        lines[number : number + 1] = [f"{assigned}={texts[name]}"] if assigned else blocks[name]()
    return "\n".join(lines)


def _blocks(
    preset: Preset,
    texts: dict[str, str],
    environment: Environment,
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
        "folders": lambda: _folder_lines(project),
        "environment": lambda: environment_lines(environment),
        "launch": lambda: launch_lines(launch),
    }


def lead_seconds(preset: Preset, shape: Shape) -> int:
    """How long before the time limit the job is told to save its state; 0: it is not told."""
    return min(preset.checkpoint_lead_s, shape.time_limit_s // LEAD_PART)


def _derived(preset: Preset, shape: Shape) -> dict[str, str]:
    """The figures that `DERIVED` names."""
    # After the signal, so that the script knows that the end is the time limit's, and with time to write.
    exit_s = shape.time_limit_s - lead_seconds(preset, shape) * 2 // 3
    return {"exit_minutes": str(max(1, exit_s // MINUTE_S))}


def _field_texts(preset: Preset, given: Mapping[str, str]) -> tuple[dict[str, str], list[Problem]]:
    texts: dict[str, str] = {}
    problems: list[Problem] = []
    for field in preset.fields:
        try:
            texts[field.name] = field_text(field, given.get(field.name, field.default))
        except ValueRefused as refused:
            problems.append(refused.problem)
    unknown = sorted(set(given) - {field.name for field in preset.fields})
    problems += [Problem("unknown", name, _("This preset has no such field.")) for name in unknown]
    return texts, problems


def _problems(preset: Preset, texts: dict[str, str], environment: Environment, shape: Shape) -> list[Problem]:
    return [
        *_environment_problems(preset, environment),
        *_shape_problems(preset, shape),
        *_parallel_problems(preset, texts, shape),
    ]


def _environment_problems(preset: Preset, environment: Environment) -> Iterator[Problem]:
    problems = list(environment_problems(environment))
    if not problems and environment.kind not in preset.environments:
        problems = [Problem("environment", "environment", _("This preset does not run in such an environment."))]
    yield from problems


def _shape_problems(preset: Preset, shape: Shape) -> Iterator[Problem]:
    if preset.nodes_most and shape.nodes > preset.nodes_most:
        text = _("Nodes for this preset: at most %(most)d.")
        yield Problem("shape", "nodes", text, (("most", preset.nodes_most),))


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


def _folder_lines(project: str) -> list[str]:
    # HF_HOME is the project's, so that a model is fetched once for all; a person's token stays in their own home.
    return [
        "set -eo pipefail",
        f'project_dir="${{SAOLA_PROJECTS:-$HOME/saola}}"/{word(project)}',
        'output="$project_dir/runs/${run_name:-$SLURM_JOB_ID}"',
        'export HF_HOME="$project_dir/cache/huggingface"',
        'export HF_TOKEN_PATH="${HF_TOKEN_PATH:-$HOME/.cache/huggingface/token}"',
        'mkdir -p "$output" "$HF_HOME"',
        'if [ -n "$workdir" ]; then cd -- "$workdir"; fi',
        'echo "results: $output"',
    ]
