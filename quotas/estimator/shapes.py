"""The shapes of published models, and what L·H·Q is where only the number of parameters is known.

Attention costs in proportion to L·H·Q: layers × heads × head dimension. It is taken from a published model, by its name
or by its number of parameters; else from a power law fitted to the dense models of the table.
"""

import math
import re
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import Any

from django.utils.translation import gettext as _

from quotas.estimator.errors import EstimateError

# A size that people speak of ("7B") lies within this of the model that it means (Llama 2 7B: 6.74 billion).
NEAR = 0.05


@dataclass(frozen=True, slots=True)
class Shape:
    """L, H and Q of the formula. Where keys and values differ in width, Q is the mean of the two."""

    layers: int
    heads: int
    head_dimension: int

    @property
    def width(self) -> int:
        """L·H·Q."""
        return self.layers * self.heads * self.head_dimension


@dataclass(frozen=True, slots=True)
class Model:
    """A published model. `parameters` is all of them, embeddings included; `active` those that work on one token.

    `by_size`: found by a number of parameters too. Those models are one ladder, on which L·H·Q never falls when the
    number of parameters rises, so that an estimate never falls either.
    """

    name: str
    parameters: int
    shape: Shape
    source: str
    active: int
    by_size: bool = False
    also: str = ""  # a second name for the same shape
    table: int | None = None  # of the source

    @property
    def slug(self) -> str:
        return self.name.lower().replace(" ", "-")

    @property
    def cited(self) -> str:
        """The source, in the active language."""
        known = {"source": self.source, "number": self.table}
        return _("%(source)s, table %(number)s") % known if self.table else self.source

    @property
    def is_mixture(self) -> bool:
        return self.active != self.parameters


def _dense(name: str, parameters: int, shape: tuple[int, int, int], source: str, **more: Any) -> Model:
    return Model(name, parameters, Shape(*shape), source, parameters, by_size=name in _LADDER, **more)


def _mixture(name: str, parameters: int, active: int, shape: tuple[int, int, int], source: str, **more: Any) -> Model:
    return Model(name, parameters, Shape(*shape), source, active, **more)


_LADDER = {
    "Qwen2.5 0.5B",
    "Llama 3.2 1B",
    "Qwen2.5 1.5B",
    "Qwen2.5 3B",
    "Llama 3.2 3B",
    "PhoGPT 4B",
    "Llama 2 7B",
    "Mistral 7B",
    "Llama 3.1 8B",
    "Mistral Nemo 12B",
    "Llama 2 13B",
    "Qwen2.5 14B",
    "Qwen2.5 32B",
    "Llama 2 70B",
    "Llama 3.1 70B",
    "Qwen2.5 72B",
    "Mistral Large 2 123B",
    "Llama 3.1 405B",
}

# Numbers of parameters follow from the published configurations (layers, widths, vocabulary); L, H, Q are theirs.
MODELS: tuple[Model, ...] = (
    _dense("Llama 3.1 405B", 405_853_388_800, (126, 128, 128), "arXiv:2407.21783", table=3),
    _dense("Llama 3.1 70B", 70_553_706_496, (80, 64, 128), "arXiv:2407.21783", also="Llama 3 70B", table=3),
    _dense("Llama 3.1 8B", 8_030_261_248, (32, 32, 128), "arXiv:2407.21783", also="Llama 3 8B", table=3),
    _dense("Llama 3.2 3B", 3_212_749_824, (28, 24, 128), "config.json, Meta 2024"),
    _dense("Llama 3.2 1B", 1_235_814_400, (16, 32, 64), "config.json, Meta 2024"),
    _dense("Llama 2 70B", 68_976_648_192, (80, 64, 128), "arXiv:2307.09288; config.json"),
    _dense("Llama 2 13B", 13_015_864_320, (40, 40, 128), "arXiv:2307.09288; config.json"),
    _dense("Llama 2 7B", 6_738_415_616, (32, 32, 128), "arXiv:2307.09288; config.json"),
    _dense("Mistral Large 2 123B", 122_610_069_504, (88, 96, 128), "config.json, Mistral AI 2024"),
    _dense("Mistral Nemo 12B", 12_247_782_400, (40, 32, 128), "config.json, Mistral AI 2024"),
    _dense("Mistral 7B", 7_241_732_096, (32, 32, 128), "arXiv:2310.06825", table=1),
    _mixture("Mixtral 8x22B", 140_630_071_296, 39_161_468_928, (56, 48, 128), "config.json, Mistral AI 2024"),
    _mixture("Mixtral 8x7B", 46_702_792_704, 12_879_925_248, (32, 32, 128), "arXiv:2401.04088", table=1),
    _dense("Qwen2.5 72B", 72_706_203_648, (80, 64, 128), "arXiv:2412.15115", table=1),
    _dense("Qwen2.5 32B", 32_763_876_352, (64, 40, 128), "arXiv:2412.15115", table=1),
    _dense("Qwen2.5 14B", 14_770_033_664, (48, 40, 128), "arXiv:2412.15115", table=1),
    _dense("Qwen2.5 7B", 7_615_616_512, (28, 28, 128), "arXiv:2412.15115", table=1),
    _dense("Qwen2.5 3B", 3_085_938_688, (36, 16, 128), "arXiv:2412.15115", table=1),
    _dense("Qwen2.5 1.5B", 1_543_714_304, (28, 12, 128), "arXiv:2412.15115", table=1),
    _dense("Qwen2.5 0.5B", 494_032_768, (24, 14, 64), "arXiv:2412.15115", table=1),
    _mixture("Qwen3 235B-A22B", 235_093_634_560, 22_190_763_520, (94, 64, 128), "arXiv:2505.09388", table=2),
    _mixture("Qwen3 30B-A3B", 30_532_122_624, 3_353_032_704, (48, 32, 128), "arXiv:2505.09388", table=2),
    _dense("Qwen3 32B", 32_762_123_264, (64, 64, 128), "arXiv:2505.09388", table=1),
    _dense("Qwen3 14B", 14_768_307_200, (40, 40, 128), "arXiv:2505.09388", table=1),
    _dense("Qwen3 8B", 8_190_735_360, (36, 32, 128), "arXiv:2505.09388", table=1),
    _dense("Qwen3 4B", 4_022_468_096, (36, 32, 128), "arXiv:2505.09388", table=1),
    _dense("Qwen3 1.7B", 1_720_574_976, (28, 16, 128), "arXiv:2505.09388", table=1),
    _dense("Qwen3 0.6B", 596_049_920, (28, 16, 128), "arXiv:2505.09388", table=1),
    # Latent attention: keys of 128 + 64, values of 128.
    _mixture("DeepSeek-V3", 671_000_000_000, 37_000_000_000, (61, 128, 160), "arXiv:2412.19437"),
    _dense("Gemma 2 27B", 27_227_128_320, (46, 32, 128), "arXiv:2408.00118", table=1),
    _dense("Gemma 2 9B", 9_241_705_984, (42, 16, 256), "arXiv:2408.00118", table=1),
    _dense("Gemma 2 2B", 2_614_341_888, (26, 8, 256), "arXiv:2408.00118", table=1),
    _dense("Gemma 7B", 8_537_680_896, (28, 16, 256), "arXiv:2403.08295", table=1),
    _dense("Gemma 2B", 2_506_172_416, (18, 8, 256), "arXiv:2403.08295", table=1),
    _dense("PhoGPT 4B", 3_686_992_896, (32, 24, 128), "arXiv:2311.02945; config.json, VinAI 2023"),
)
DENSE = tuple(model for model in MODELS if not model.is_mixture)
LADDER = tuple(sorted((model for model in MODELS if model.by_size), key=lambda model: model.parameters))


@dataclass(frozen=True, slots=True)
class Found:
    """L·H·Q and where it comes from: a model (chosen by name, or near in size), a shape that was given, or the fit."""

    width: int
    shape: Shape | None = None
    model: Model | None = None
    by_name: bool = False


def model_get(name: str) -> Model:
    """By its name, in any spelling of case, spaces and hyphens. Raises EstimateError beside `model`."""
    wanted = _bare(name.rsplit("/", 1)[-1])
    for model in MODELS:
        if wanted in (_bare(model.name), _bare(model.also)) and wanted:
            return model
    known = {"name": name[:60], "known": ", ".join(model.name for model in MODELS)}
    raise EstimateError("model", _("The table has no model “%(name)s”. It has: %(known)s.") % known)


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9.]", "", name.lower())


def shape_by_size(parameters: int) -> Found:
    """Of the nearest model on the ladder if it is within NEAR; else the fit, held between its two neighbours there."""
    above = bisect(LADDER, parameters, key=lambda model: model.parameters)
    lower = LADDER[above - 1] if above else None
    upper = LADDER[above] if above < len(LADDER) else None
    near = [model for model in (lower, upper) if model and _ratio(model.parameters, parameters) <= 1 + NEAR]
    if near:
        model = min(near, key=lambda model: _ratio(model.parameters, parameters))
        return Found(model.shape.width, shape=model.shape, model=model)
    width = fit().width(parameters)
    if lower:
        width = max(width, lower.shape.width)
    if upper:
        width = min(width, upper.shape.width)
    return Found(width)


def _ratio(one: int, other: int) -> float:
    return max(one, other) / min(one, other)


@dataclass(frozen=True, slots=True)
class Fit:
    """L·H·Q = factor · N^exponent. The errors are of FLOPs per token at T = 8,192, for the models it is made of."""

    factor: float
    exponent: float
    models: int
    median_error: float
    largest_error: float
    worst: Model

    def width(self, parameters: int) -> int:
        return max(1, round(self.factor * parameters**self.exponent))


@cache
def fit() -> Fit:
    """Least squares through the dense models of the table, on logarithms."""
    factor, exponent = _power_law([(model.parameters, model.shape.width) for model in DENSE])
    errors = {}
    for model in DENSE:
        fitted, true = (
            6 * model.parameters + 12 * width * 8_192
            for width in (factor * model.parameters**exponent, model.shape.width)
        )
        errors[model] = abs(fitted / true - 1)
    worst = max(errors, key=lambda model: errors[model])
    return Fit(factor, exponent, len(DENSE), median(errors.values()), errors[worst], worst)


def _power_law(points: Sequence[tuple[int, int]]) -> tuple[float, float]:
    xs, ys = [math.log(x) for x, _y in points], [math.log(y) for _x, y in points]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    together = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    exponent = together / sum((x - mean_x) ** 2 for x in xs)
    return math.exp(mean_y - exponent * mean_x), exponent
