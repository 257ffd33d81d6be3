"""What the tests of presets fill in: every shape and environment, and something for each required field."""

from collections.abc import Iterator
from dataclasses import dataclass

from scheduler.jobs.durations import slurm_time
from scheduler.jobs.errors import JobRefused
from scheduler.jobs.library.checking import ENVIRONMENTS, H100, SHAPES
from scheduler.jobs.preflight import Shape
from scheduler.jobs.presets import presets
from scheduler.jobs.presets.definition import Preset
from scheduler.jobs.presets.environments import Environment
from scheduler.jobs.presets.render import Filled, Resources, head_render
from scheduler.jobs.script import Block, script_render

FILLED = {
    "program": "train.py",
    "arguments": "--note 'hai từ' --seed 7",
    "data": "/data/corpus_text_document",
    "restarts": "3",
}
TIME_LIMIT_S = 7200


@dataclass(frozen=True)
class Case:
    preset: Preset
    nodes: int
    gpus_per_node: int
    environment: Environment

    @property
    def name(self) -> str:
        return f"{self.preset.slug}-{self.nodes}x{self.gpus_per_node}-{self.environment.kind}"

    def script(self, *, time_limit_s: int = TIME_LIMIT_S, **fields: str) -> str:
        shape = Shape("h100", self.gpus_per_node, self.nodes, time_limit_s)
        return written(Filled(self.preset, filled(self.preset) | fields, self.environment), shape, H100)


def written(
    one: Filled, shape: Shape, resources: Resources | None = None, project: str = "tieng-viet", script: str = ""
) -> str:
    """The script as it is submitted, with the preset's own lines unless others are given. Raises JobRefused."""
    head, problems = head_render(one, shape=shape, project=project, resources=resources)
    if problems:
        raise JobRefused(problems)
    size = {"nodes": shape.nodes, "gpu_type": shape.gpu_type, "gpus_per_node": shape.gpus_per_node}
    block = Block("train", "sl-team", "sl-team-h100-x", "h100", **size, time_limit=slurm_time(shape.time_limit_s))
    return script_render(script or one.preset.start, block, head)


def filled(preset: Preset) -> dict[str, str]:
    return {field.name: FILLED[field.name] for field in preset.fields if field.name in FILLED}


def cases() -> Iterator[Case]:
    """Every preset × shape × environment that it has."""
    for preset in presets().values():
        for nodes, gpus_per_node in SHAPES:
            if preset.nodes_most and nodes > preset.nodes_most:
                continue
            for environment in ENVIRONMENTS:
                if environment.kind in preset.environments:
                    yield Case(preset, nodes, gpus_per_node, environment)


def case(slug: str, nodes: int, gpus_per_node: int, kind: str = "system") -> Case:
    environment = next(one for one in ENVIRONMENTS if one.kind == kind)
    return Case(presets()[slug], nodes, gpus_per_node, environment)
