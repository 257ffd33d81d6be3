"""The table of published models, found by name and by size, and the fit between them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotas.estimator.errors import EstimateError
from quotas.estimator.shapes import DENSE, LADDER, MODELS, NEAR, fit, model_get, shape_by_size


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Llama 3.1 405B", "Llama 3.1 405B"),
        ("llama-3.1-405b", "Llama 3.1 405B"),
        ("meta-llama/Llama-3.1-405B", "Llama 3.1 405B"),
        ("Llama 3 8B", "Llama 3.1 8B"),
        ("qwen2.5 7b", "Qwen2.5 7B"),
        ("deepseek-v3", "DeepSeek-V3"),
    ],
)
def test_a_model_is_found_by_any_spelling_of_its_name(name: str, found: str) -> None:
    assert model_get(name).name == found


@pytest.mark.parametrize("name", ["", " ", "Llama", "405B", "/", "x" * 500])
def test_an_unknown_model_is_refused(name: str) -> None:
    with pytest.raises(EstimateError) as refused:
        model_get(name)
    assert refused.value.field == "model"
    assert "Llama 3.1 405B" in str(refused.value)


def test_every_model_has_one_name_one_slug_and_a_source() -> None:
    assert len({model.name for model in MODELS}) == len({model.slug for model in MODELS}) == len(MODELS)
    assert all(model_get(model.slug) is model and model.source for model in MODELS)
    assert all(model.active <= model.parameters for model in MODELS)


def test_a_number_of_parameters_agrees_with_the_shape() -> None:
    """N ≈ 12·L·d² for a plain transformer; few key heads and large embeddings move it, a slip of a digit more."""
    for model in DENSE:
        plain = 12 * model.shape.layers * (model.shape.heads * model.shape.head_dimension) ** 2
        assert 0.4 < model.parameters / plain < 4.5, model.name


@pytest.mark.parametrize(
    ("billions", "name"),
    [(405, "Llama 3.1 405B"), (70, "Llama 3.1 70B"), (8, "Llama 3.1 8B"), (7, "Mistral 7B"), (13, "Llama 2 13B")],
)
def test_a_size_that_people_speak_of_is_a_published_model(billions: int, name: str) -> None:
    model = shape_by_size(billions * 10**9).model
    assert model is not None
    assert model.name == name


@pytest.mark.parametrize("billions", [30, 100, 1_000])
def test_another_size_is_fitted(billions: int) -> None:
    found = shape_by_size(billions * 10**9)
    assert found.model is None
    assert found.width == pytest.approx(fit().width(billions * 10**9), rel=0.06)


def test_the_ladder_rises() -> None:
    widths = [model.shape.width for model in LADDER]
    assert widths == sorted(widths)
    assert len(LADDER) == 18


@given(st.sampled_from(LADDER), st.floats(0.9, 1.1), st.integers(1, 10**15))
def test_a_larger_model_never_has_a_smaller_shape(model: object, factor: float, other: int) -> None:
    near = round(model.parameters * factor)  # type: ignore[attr-defined]
    small, large = sorted((near, other))
    assert shape_by_size(small).width <= shape_by_size(large).width


def test_near_is_five_percent() -> None:
    size = LADDER[-1].parameters
    assert shape_by_size(round(size * (1 + NEAR)) - 1).model is LADDER[-1]
    assert shape_by_size(round(size * (1 + NEAR)) + 1).model is None


def test_the_fit_follows_from_the_table() -> None:
    """L·H·Q grows with the two-thirds power: N ≈ 12·L·d² with L in proportion to d."""
    law = fit()
    assert law.models == len(DENSE) == 30
    assert law.exponent == pytest.approx(2 / 3, abs=0.01)
    assert law.median_error < 0.03
    assert (law.worst.name, round(law.largest_error, 2)) == ("Qwen3 0.6B", 0.34)
