"""An estimate in words, in the active language: how it was computed, line by line, and what was assumed."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING

from django.utils.formats import number_format
from django.utils.translation import gettext as _

from quotas.estimator.methods import FACTORS, Method, bytes_a_parameter
from quotas.estimator.numbers import DAYS_A_YEAR, figures, percent, power, shortest, span, spell, whole
from quotas.estimator.peaks import GIGA, TERA
from quotas.estimator.shapes import Found, fit
from quotas.units import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from fractions import Fraction

    from quotas.estimator.services import Estimate

EXAMPLE_GPUS = 64  # of the formula's last line


@dataclass(frozen=True, slots=True)
class Line:
    """One step: what it is, in symbols, with the numbers put in, and what comes out."""

    label: str
    symbols: str
    numbers: str
    result: str

    def __str__(self) -> str:
        return f"{self.label} = {self.symbols} = {self.numbers} = {self.result}"


def formula(estimate: Estimate) -> list[Line]:
    factors, found = FACTORS[estimate.method], estimate.found
    n, t = whole(estimate.parameters), whole(estimate.sequence_length)
    shape = found.shape
    width = f"{shape.layers} · {shape.heads} · {shape.head_dimension}" if shape else whole(found.width)
    speed = _tflops(estimate.peak_flops * estimate.utilisation)
    seconds = whole(estimate.gpu_seconds)
    lines = [
        Line(
            _("FLOPs per token"),
            f"{factors.parameters}·N + {factors.attention}·L·H·Q·T",
            f"{factors.parameters} · {n} + {factors.attention} · {width} · {t}",
            power(estimate.flops_per_token, 4),
        ),
        Line(
            _("FLOPs"),
            _("FLOPs per token · tokens"),
            f"{power(estimate.flops_per_token, 4)} · {whole(estimate.tokens)}",
            power(estimate.flops, 4),
        ),
        Line(
            _("Speed of one GPU"),
            _("peak · utilisation"),
            f"{_tflops(estimate.peak_flops)} · {percent(estimate.utilisation)}",
            speed,
        ),
        Line(
            _("GPU-seconds"),
            _("FLOPs ÷ speed, rounded up"),
            f"{power(estimate.flops, 4)} ÷ {speed}",
            seconds,
        ),
        Line(_("GPU-hours"), _("GPU-seconds ÷ 3,600"), f"{seconds} ÷ {whole(3_600)}", hours(estimate)),
    ]
    if estimate.vnd is not None and estimate.tariff_vnd_per_gpu_hour is not None:
        tariff = _("%(amount)s VND") % {"amount": whole(estimate.tariff_vnd_per_gpu_hour)}
        cost = _("%(amount)s VND") % {"amount": whole(estimate.vnd)}
        symbols = _("GPU-seconds · tariff ÷ 3,600, rounded up")
        lines.append(Line(_("Cost"), symbols, f"{seconds} · {tariff} ÷ {whole(3_600)}", cost))
    on_some = f"{hours(estimate)} ÷ {EXAMPLE_GPUS}"
    time = span(estimate.days(EXAMPLE_GPUS))
    lines.append(Line(_("Time on %(count)s GPUs") % {"count": EXAMPLE_GPUS}, _("GPU-hours ÷ GPUs"), on_some, time))
    return lines


def assumptions(estimate: Estimate) -> list[str]:
    """What the figures rest on, each with its source where it has one."""
    return [
        *_about_method(estimate),
        _about_shape(estimate.found),
        *_about_mixture(estimate),
        _(
            "Sequence length: %(length)s tokens. Attention is counted whole, as in PaLM's appendix B: neither a causal"
            " mask nor a sliding window is taken off."
        )
        % {"length": whole(estimate.sequence_length)},
        _("Peak of one %(gpu)s in %(precision)s: %(peak)s, dense, from the maker's data sheet; peak table %(version)s.")
        % {
            "gpu": estimate.gpu.name,
            "precision": estimate.precision.upper(),
            "peak": _tflops(estimate.peak_flops),
            "version": estimate.peaks_version,
        },
        *_about_utilisation(estimate),
        memory(estimate),
        _about_cost(estimate),
        _("Only the run itself: no failed or repeated runs, data preparation, or waiting. A year has %(days)s days.")
        % {"days": DAYS_A_YEAR},
    ]


def memory(estimate: Estimate) -> str:
    """What has to lie in GPU memory before anything else, and on how many GPUs it does."""
    known = {
        "bytes": bytes_a_parameter(estimate.method, estimate.precision),
        "size": size(estimate.memory_bytes),
        "count": whole(estimate.gpus_at_least),
        "gpu": estimate.gpu.name,
        "gb": estimate.gpu.memory_gb,
    }
    if estimate.method.trains_all:
        text = _(
            "Memory: weights, gradients and optimizer (Adam) take %(bytes)s bytes a parameter (ZeRO, arXiv:1910.02054),"
            " %(size)s in all: at least %(count)s × %(gpu)s of %(gb)s GB. Activations come on top."
        )
    elif estimate.method == Method.LORA:
        text = _(
            "Memory: the frozen weights take %(bytes)s bytes a parameter, %(size)s in all: at least %(count)s × %(gpu)s"
            " of %(gb)s GB. Adapters and activations come on top."
        )
    else:
        text = _(
            "Memory: the weights take %(bytes)s bytes a parameter, %(size)s in all: at least %(count)s × %(gpu)s of"
            " %(gb)s GB. The attention's cache comes on top."
        )
    return text % known


def _about_method(estimate: Estimate) -> list[str]:
    if estimate.method.trains_all:
        return [_("Model FLOPs of PaLM's appendix B (arXiv:2204.02311): recomputed activations do not count.")]
    if estimate.method == Method.LORA:
        return [
            _(
                "LoRA (arXiv:2106.09685): the frozen weights need no gradient of their own, so 2·N of the 6·N fall"
                " away; attention costs the same. The adapters' own share, mostly under 1%, is left out."
            )
        ]
    return [
        _("A forward pass, a third of training by PaLM's appendix B (arXiv:2204.02311)."),
        _(
            "Text generated token by token waits for memory, not for arithmetic: its utilisation is far below that of"
            " training. Measure a short run first."
        ),
    ]


def _about_shape(found: Found) -> str:
    if found.model and found.by_name:
        return _("Shape of %(model)s: %(shape)s. Source: %(source)s.") % _shape(found)
    if found.model:
        text = _("Shape of %(model)s, the published model nearest in size: %(shape)s. Source: %(source)s.")
        return text % _shape(found)
    if found.shape:
        return _("Shape as given: %(shape)s.") % _shape(found)
    law = fit()
    return _(
        "No model of the table has this size. L·H·Q is fitted: %(factor)s · N^%(exponent)s, by least squares on the"
        " logarithms of the table's %(models)s dense models, and held between its neighbours in size. Of those the"
        " fit misses the FLOPs, at 8,192 tokens, by %(median)s in the median and %(largest)s at worst (%(worst)s)."
    ) % {
        "factor": number_format(f"{law.factor:.4f}", 4, use_l10n=True),
        "exponent": number_format(f"{law.exponent:.4f}", 4, use_l10n=True),
        "models": law.models,
        "median": percent(Decimal(f"{law.median_error:.3f}")),
        "largest": percent(Decimal(f"{law.largest_error:.2f}")),
        "worst": law.worst.name,
    }


def _shape(found: Found) -> dict[str, str]:
    text = ""
    if found.shape:
        known = {"l": found.shape.layers, "h": found.shape.heads, "q": found.shape.head_dimension}
        text = _("%(l)s layers, %(h)s heads of dimension %(q)s") % known
    model = found.model
    return {"shape": text, "model": model.name if model else "", "source": model.cited if model else ""}


def _about_mixture(estimate: Estimate) -> list[str]:
    model = estimate.found.model
    if model and model.is_mixture:
        known = {"model": model.name, "active": spell(estimate.parameters), "all": spell(model.parameters)}
        text = _(
            "%(model)s is a mixture of experts: of %(all)s parameters %(active)s work on a token; all lie in memory."
        )
        return [text % known]
    if not estimate.found.by_name:
        return [_("A dense model: every parameter works on each token. Of a mixture of experts enter the active ones.")]
    return []


def _about_utilisation(estimate: Estimate) -> list[str]:
    said = [
        _(
            "Utilisation %(utilisation)s of the peak, the same on any number of GPUs. Llama 3.1 405B reached 38%% to"
            " 43%% of the H100's BF16 peak (arXiv:2407.21783, table 4)."
        )
        % {"utilisation": percent(estimate.utilisation)}
    ]
    if estimate.precision == "fp8":
        said.append(_("FP8 speeds up the weights' matrices, not attention: less of its peak is reached than of BF16."))
    return said


def _about_cost(estimate: Estimate) -> str:
    if estimate.tariff_vnd_per_gpu_hour is None:
        return _("No cost: there is no tariff for this GPU type today.")
    text = _("Cost at the tariff of %(tariff)s VND per GPU-hour, whole: before any state share.")
    return text % {"tariff": whole(estimate.tariff_vnd_per_gpu_hour)}


# --- figures ------------------------------------------------------------------------------------------------------


def hours(estimate: Estimate) -> str:
    """GPU-hours, whole from 1,000 up; never less than what is needed."""
    places = 0 if estimate.gpu_seconds >= 1_000 * SECONDS_PER_HOUR else 2
    exact = Decimal(estimate.gpu_seconds) / SECONDS_PER_HOUR
    return shortest(exact.quantize(Decimal(10) ** -places, rounding=ROUND_CEILING))


def size(amount_bytes: int) -> str:
    """In GB or TB of powers of ten, three significant figures."""
    big = amount_bytes >= TERA
    return f"{figures(amount_bytes / (TERA if big else GIGA))} {'TB' if big else 'GB'}"


def _tflops(flops_per_second: int | Fraction) -> str:
    return f"{shortest(Decimal(f'{float(flops_per_second / TERA):.1f}'))} TFLOP/s"
