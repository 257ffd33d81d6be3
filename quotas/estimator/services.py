"""The estimate. Pure: it reads and writes nothing, and the same inputs give the same figures to the GPU-second."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from django.conf import settings
from django.utils.translation import gettext as _

from quotas.estimator import wording
from quotas.estimator.errors import EstimateError
from quotas.estimator.methods import FACTORS, Method, bytes_a_parameter
from quotas.estimator.numbers import DAYS_A_YEAR, spell
from quotas.estimator.peaks import PEAKS_VERSION, Gpu, gpu_get, peak_get
from quotas.estimator.shapes import NEAR, Found, Model, Shape, model_get, shape_by_size
from quotas.units import SECONDS_PER_HOUR

SEQUENCE_LENGTH = 8_192
GPU_COUNTS = (8, 64, 512, 4_096)
SECONDS_A_DAY = 86_400
# Far above what anybody plans, and low enough that no sum here takes long.
PARAMETERS_AT_MOST, TOKENS_AT_MOST, SEQUENCE_LENGTH_AT_MOST = 10**15, 10**18, 10**8
UTILISATION_AT_LEAST = Fraction(1, 1_000)
TARIFF_AT_MOST = 10**12  # VND per GPU-hour

Number = int | float | str | Decimal | Fraction


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """`parameters` are those that work on a token, `stored_parameters` those that lie in memory. Amounts are exact and
    rounded up: GPU-seconds, VND. `quotas.estimator.wording` says it all in words."""

    method: Method
    parameters: int
    stored_parameters: int
    found: Found
    tokens: int
    sequence_length: int
    gpu: Gpu
    precision: str
    peak_flops: int  # FLOP/s
    utilisation: Fraction
    flops_per_token: int
    flops: int
    gpu_seconds: int
    tariff_vnd_per_gpu_hour: int | None
    vnd: int | None
    centre_gpus: int
    peaks_version: str = PEAKS_VERSION

    @property
    def gpu_hours(self) -> float:
        return self.gpu_seconds / SECONDS_PER_HOUR

    @property
    def whole_gpu_hours(self) -> int:
        """Rounded up: what to apply for."""
        return -(-self.gpu_seconds // SECONDS_PER_HOUR)

    @property
    def gpu_counts(self) -> tuple[int, ...]:
        """The usual sizes, and the whole centre last."""
        return (*(count for count in GPU_COUNTS if count < self.centre_gpus), self.centre_gpus)

    def days(self, gpus: int) -> float:
        """On so many GPUs, at the same utilisation."""
        return self.gpu_seconds / (gpus * SECONDS_A_DAY)

    @property
    def days_on(self) -> dict[int, float]:
        return {count: self.days(count) for count in self.gpu_counts}

    @property
    def years_on(self) -> dict[int, float]:
        return {count: self.days(count) / DAYS_A_YEAR for count in self.gpu_counts}

    @property
    def centre_share(self) -> float:
        """Of what the whole centre has in a year; above 1 it takes longer than that."""
        return self.days(self.centre_gpus) / DAYS_A_YEAR

    @property
    def memory_bytes(self) -> int:
        """Of weights, gradients and optimizer state; activations, adapters and the attention's cache come on top."""
        return self.stored_parameters * bytes_a_parameter(self.method, self.precision)

    @property
    def gpus_at_least(self) -> int:
        """So many GPUs hold that, spread over all of them."""
        return -(-self.memory_bytes // self.gpu.memory_bytes)

    @property
    def formula_lines(self) -> list[str]:
        """In the active language."""
        return [str(line) for line in wording.formula(self)]

    @property
    def assumptions(self) -> list[str]:
        """In the active language."""
        return wording.assumptions(self)


def estimate(
    *,
    method: str,
    tokens: Number,
    gpu_type: str,
    precision: str,
    utilisation: Number,
    parameters: Number | None = None,
    sequence_length: Number = SEQUENCE_LENGTH,
    shape: Shape | None = None,
    model: str = "",
    tariff_vnd_per_gpu_hour: Number | None = None,
    centre_gpus: int | None = None,
) -> Estimate:
    """Of a model named in the table, or of a number of parameters (of a mixture of experts: the active ones).

    `utilisation` is the share of the GPU's dense peak that becomes model FLOPs, from 0.001 to 1. L·H·Q is that of
    `shape`, else of `model`, else found by the number of parameters. Raises EstimateError: its `field` is the keyword.
    """
    chosen = _method(method)
    known = model_get(model) if model else None
    count = _parameters(parameters, known)
    token_count = _whole("tokens", tokens, TOKENS_AT_MOST)
    length = _whole("sequence_length", sequence_length, SEQUENCE_LENGTH_AT_MOST)
    gpu = gpu_get(gpu_type)
    peak_flops = peak_get(gpu, precision)
    share = _utilisation(utilisation)
    tariff = None
    if tariff_vnd_per_gpu_hour is not None:
        tariff = _whole("tariff_vnd_per_gpu_hour", tariff_vnd_per_gpu_hour, TARIFF_AT_MOST)
    found = _found(count, known, shape)
    per_token = FACTORS[chosen].flops_per_token(count, found.width, length)
    flops = per_token * token_count
    gpu_seconds = _up(Fraction(flops) / (peak_flops * share))
    return Estimate(
        method=chosen,
        parameters=count,
        stored_parameters=known.parameters if known and known.is_mixture else count,
        found=found,
        tokens=token_count,
        sequence_length=length,
        gpu=gpu,
        precision=precision,
        peak_flops=peak_flops,
        utilisation=share,
        flops_per_token=per_token,
        flops=flops,
        gpu_seconds=gpu_seconds,
        tariff_vnd_per_gpu_hour=tariff,
        vnd=None if tariff is None else _up(Fraction(gpu_seconds * tariff, SECONDS_PER_HOUR)),
        centre_gpus=centre_gpus or settings.CENTRE_GPUS,
    )


# --- inputs -------------------------------------------------------------------------------------------------------


def _method(name: str) -> Method:
    if name not in Method.values:
        known = {"name": name, "known": ", ".join(Method.values)}
        raise EstimateError("method", _("There is no method “%(name)s”, only: %(known)s.") % known)
    return Method(name)


def _parameters(given: Number | None, model: Model | None) -> int:
    """The number of parameters that work on a token. One that contradicts the model beside it is refused."""
    if given is None:
        if model is None:
            raise EstimateError("parameters", _("Give the number of parameters, or choose a published model."))
        return model.active
    count = _whole("parameters", given, PARAMETERS_AT_MOST)
    if model and not (1 - NEAR) * model.active <= count <= (1 + NEAR) * model.active:
        known = {"model": model.name, "count": spell(model.active)}
        text = _("%(model)s works on each token with %(count)s parameters. Leave out one of the two.") % known
        raise EstimateError("parameters", text)
    return count


def _whole(field: str, given: Number, most: int) -> int:
    number = _number(field, given)
    if number < 1:
        raise EstimateError(field, _("It must be at least 1."))
    if number > most:
        raise EstimateError(field, _("It can be at most %(most)s.") % {"most": spell(most)})
    if number.denominator != 1:
        raise EstimateError(field, _("It must be a whole number."))
    return int(number)


def _utilisation(given: Number) -> Fraction:
    number = _number("utilisation", given)
    if not UTILISATION_AT_LEAST <= number <= 1:
        raise EstimateError("utilisation", _("It lies between 0.1% and 100% of the GPU's peak."))
    return number


def _number(field: str, given: Number) -> Fraction:
    """Exactly what was written: 0.38 is 38/100, not the nearest float."""
    if isinstance(given, Fraction):
        return given
    try:
        number = Decimal(str(given))
    except InvalidOperation as error:
        raise EstimateError(field, _("It must be a number.")) from error
    if isinstance(given, bool) or not number.is_finite():
        raise EstimateError(field, _("It must be a number."))
    if abs(number.adjusted()) > 40:  # 1e999999 as a fraction would fill the memory
        number = Decimal(0 if number.adjusted() < 0 or number < 0 else 10**41)
    return Fraction(number)


def _found(parameters: int, model: Model | None, shape: Shape | None) -> Found:
    if shape:
        for field in ("layers", "heads", "head_dimension"):
            if getattr(shape, field) < 1:
                raise EstimateError("shape", _("Layers, heads and head dimension are at least 1."))
        return Found(shape.width, shape=shape)
    if model:
        return Found(model.shape.width, shape=model.shape, model=model, by_name=True)
    return shape_by_size(parameters)


def _up(amount: Fraction) -> int:
    return -(-amount.numerator // amount.denominator)
