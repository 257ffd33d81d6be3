"""The figures that the estimate must reproduce, and what holds for every estimate."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from django.utils.translation import override
from hypothesis import given
from hypothesis import strategies as st

from quotas.estimator.errors import EstimateError
from quotas.estimator.methods import Method
from quotas.estimator.peaks import GPUS, PRECISIONS
from quotas.estimator.services import PARAMETERS_AT_MOST, TOKENS_AT_MOST, Estimate, estimate
from quotas.estimator.shapes import MODELS, Shape

LLAMA = {
    "method": "pretrain",
    "parameters": 405 * 10**9,
    "tokens": 15_600 * 10**9,
    "gpu_type": "h100",
    "precision": "bf16",
    "utilisation": 0.38,
}
PUBLISHED_GPU_HOURS = 30.84e6  # Llama 3.1 405B, by its model card


def of(**changes: Any) -> Estimate:
    return estimate(**(LLAMA | changes))


def test_llama_405b_comes_out_as_published() -> None:
    found = of()
    assert found.gpu_hours == pytest.approx(PUBLISHED_GPU_HOURS, rel=0.05)
    assert 54 <= found.years_on[64] <= 56
    assert found.flops == 15_600 * 10**9 * (6 * 405 * 10**9 + 12 * 126 * 128 * 128 * 8_192)
    assert found.found.model is not None
    assert found.found.model.name == "Llama 3.1 405B"


def test_the_published_hours_take_a_small_cluster_55_years() -> None:
    """The example that the plans quote: 30.84 million GPU-hours on 64 GPUs. Here through the same division."""
    found = of()
    hours_a_year_on_64 = found.gpu_hours / found.years_on[64]
    assert round(PUBLISHED_GPU_HOURS / hours_a_year_on_64) == 55


def test_a_model_by_name_brings_its_own_parameters() -> None:
    found = of(parameters=None, model="Llama 3.1 405B")
    assert found.parameters == 405_853_388_800
    assert found.gpu_hours == pytest.approx(PUBLISHED_GPU_HOURS, rel=0.05)


def test_a_mixture_computes_with_the_active_and_stores_all() -> None:
    found = of(parameters=None, model="deepseek-v3", method="inference", gpu_type="h200", precision="fp8")
    assert (found.parameters, found.stored_parameters) == (37 * 10**9, 671 * 10**9)
    assert found.memory_bytes == 671 * 10**9
    assert found.gpus_at_least == 5  # of 141 GB


def test_the_methods_cost_what_their_factors_say() -> None:
    shape = Shape(10, 10, 10)
    n, attention = 10**9, 1_000 * 1_000
    per_token = {
        method: of(method=method, parameters=n, shape=shape, sequence_length=1_000).flops_per_token for method in Method
    }
    assert per_token == {
        Method.PRETRAIN: 6 * n + 12 * attention,
        Method.FINETUNE: 6 * n + 12 * attention,
        Method.LORA: 4 * n + 12 * attention,
        Method.EVALUATION: 2 * n + 4 * attention,
        Method.INFERENCE: 2 * n + 4 * attention,
    }
    assert per_token[Method.PRETRAIN] == 3 * per_token[Method.INFERENCE]


@pytest.mark.parametrize(
    ("method", "precision", "a_parameter"),
    [("pretrain", "bf16", 16), ("finetune", "tf32", 16), ("lora", "bf16", 2), ("inference", "fp8", 1)],
)
def test_memory_counts_what_the_method_keeps(method: str, precision: str, a_parameter: int) -> None:
    found = of(method=method, precision=precision, parameters=8 * 10**9)
    assert found.memory_bytes == 8 * 10**9 * a_parameter
    assert found.gpus_at_least == -(-found.memory_bytes // (80 * 10**9))


def test_the_cost_is_whole_dong_rounded_up() -> None:
    assert of().vnd is None
    found = of(tokens=1, parameters=10**9, tariff_vnd_per_gpu_hour=55_000)
    assert found.gpu_seconds == 1
    assert found.vnd == 16  # 55,000 / 3,600 = 15.3


def test_the_centre_is_a_setting(settings: Any) -> None:
    assert list(of().years_on) == [8, 64, 512, 4_096, 10_240]
    settings.CENTRE_GPUS = 100
    found = of()
    assert list(found.years_on) == [8, 64, 100]
    assert found.centre_share == pytest.approx(found.gpu_hours / (100 * 8_760))


@pytest.mark.parametrize("name", ["parameters", "tokens", "sequence_length"])
@pytest.mark.parametrize(
    "bad",
    [0, -1, float("nan"), float("inf"), 1e40, "1e999999999", "-1e999999999", "1e-999999999", "many", "", 1.5, True],
)
def test_a_number_that_is_none_is_refused_beside_its_field(name: str, bad: Any) -> None:
    with pytest.raises(EstimateError) as refused:
        of(**{name: bad})
    assert refused.value.field == name
    assert str(refused.value)


@pytest.mark.parametrize("bad", [0, -0.38, 1.01, 38, float("nan"), "all", 1e40, "1e-999999999"])
def test_a_utilisation_that_is_none_is_refused(bad: Any) -> None:
    with pytest.raises(EstimateError) as refused:
        of(utilisation=bad)
    assert refused.value.field == "utilisation"


@pytest.mark.parametrize(
    ("field", "changes", "words"),
    [
        ("method", {"method": "guess"}, "guess"),
        ("gpu_type", {"gpu_type": "h20"}, "h20"),
        ("precision", {"gpu_type": "a100", "precision": "fp8"}, "A100"),
        ("precision", {"precision": "fp4"}, "FP4"),
        ("model", {"model": "gpt-5"}, "gpt-5"),
        ("parameters", {"parameters": None}, ""),
        ("parameters", {"model": "DeepSeek-V3", "parameters": 671 * 10**9}, "37"),
        ("tariff_vnd_per_gpu_hour", {"tariff_vnd_per_gpu_hour": -1}, ""),
        ("shape", {"shape": Shape(0, 1, 1)}, ""),
    ],
)
@pytest.mark.parametrize("language", ["vi", "en"])
def test_what_is_unknown_or_does_not_fit_is_named(
    field: str, changes: dict[str, Any], words: str, language: str
) -> None:
    with override(language), pytest.raises(EstimateError) as refused:
        of(**changes)
    assert refused.value.field == field
    assert words in str(refused.value)


# --- what holds for every estimate ----------------------------------------------------------------------------------

whole_numbers = st.integers(1, 10**14)
shares = st.fractions(Fraction(1, 1_000), 1, max_denominator=10_000)
methods = st.sampled_from(Method.values)
lengths = st.integers(1, 10**6)


@given(methods, whole_numbers, whole_numbers, lengths, shares)
def test_gpu_seconds_are_exact_and_rounded_up(
    method: str, parameters: int, tokens: int, length: int, utilisation: Fraction
) -> None:
    found = of(method=method, parameters=parameters, tokens=tokens, sequence_length=length, utilisation=utilisation)
    speed = 989 * 10**12 * utilisation
    assert isinstance(found.gpu_seconds, int)
    assert found.gpu_seconds * speed >= found.flops > (found.gpu_seconds - 1) * speed


@given(methods, whole_numbers, whole_numbers, st.integers(1, 1_000))
def test_flops_are_linear_in_tokens(method: str, parameters: int, tokens: int, times: int) -> None:
    once = of(method=method, parameters=parameters, tokens=tokens)
    assert of(method=method, parameters=parameters, tokens=tokens * times).flops == once.flops * times


@given(methods, st.data(), lengths)
def test_more_is_never_cheaper(method: str, data: st.DataObject, length: int) -> None:
    """Also where the shape passes from a published model to the fit and on to the next model."""
    start = {"parameters": 1, "tokens": 1, "sequence_length": length}
    most = {"parameters": PARAMETERS_AT_MOST, "tokens": TOKENS_AT_MOST, "sequence_length": 10**8}
    name = data.draw(st.sampled_from(sorted(start)))
    sizes = [model.parameters for model in MODELS] if name == "parameters" else [1]
    near = st.builds(lambda size, factor: max(1, round(size * factor)), st.sampled_from(sizes), st.floats(0.8, 1.25))
    less, more = sorted((data.draw(near | st.integers(1, most[name])), data.draw(near | st.integers(1, most[name]))))
    small, large = (of(method=method, **(start | {name: value})) for value in (less, more))
    assert small.flops <= large.flops
    assert small.gpu_seconds <= large.gpu_seconds
    assert (small.flops < large.flops) == (less < more)


@given(shares, shares)
def test_a_higher_utilisation_never_takes_longer(one: Fraction, other: Fraction) -> None:
    low, high = sorted((one, other))
    assert of(utilisation=low).gpu_seconds >= of(utilisation=high).gpu_seconds


@given(st.sampled_from(list(GPUS.values())), st.sampled_from(PRECISIONS))
def test_a_faster_gpu_never_takes_longer(gpu: Any, precision: str) -> None:
    if precision in gpu.peaks_flops:
        faster = [other for other in GPUS.values() if other.peaks_flops.get(precision, 0) >= gpu.peaks_flops[precision]]
        slow = of(gpu_type=gpu.type, precision=precision).gpu_seconds
        assert all(of(gpu_type=other.type, precision=precision).gpu_seconds <= slow for other in faster)


@given(shares)
def test_a_utilisation_is_what_was_written(share: Fraction) -> None:
    written = Decimal(share.numerator * 10_000 // share.denominator) / 10_000
    if written >= Decimal("0.001"):
        found = of(utilisation=float(written))
        assert found.utilisation == Fraction(written)
        assert found.gpu_seconds == of(utilisation=written).gpu_seconds == of(utilisation=str(written)).gpu_seconds


# --- in words -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["vi", "en"])
@pytest.mark.parametrize("method", Method.values)
@pytest.mark.parametrize("given_by", [{"parameters": 30 * 10**9}, {"parameters": None, "model": "mixtral-8x7b"}, {}])
def test_formula_and_assumptions_are_sentences(language: str, method: str, given_by: dict[str, Any]) -> None:
    with override(language):
        found = of(method=method, tariff_vnd_per_gpu_hour=50_000, precision="fp8", **given_by)
        lines, assumptions = found.formula_lines, found.assumptions
    assert len(lines) == 7
    assert all(line.count(" = ") == 3 for line in lines)
    assert ("Độ dài" if language == "vi" else "Sequence length") in " ".join(assumptions)
    assert not [text for text in lines + assumptions if "%(" in text or "%%" in text]
    assert any("arXiv:2204.02311" in text or "arXiv:2106.09685" in text for text in assumptions)


def test_the_fit_says_how_far_it_is_off() -> None:
    with override("en"):
        text = " ".join(of(parameters=30 * 10**9).assumptions)
        assert "2.5% in the median and 34% at worst (Qwen3 0.6B)" in text
        assert "N^0.66" in text
        assert "fitted" not in " ".join(of().assumptions)
