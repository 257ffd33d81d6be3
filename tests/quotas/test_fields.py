"""Numbers as people of the centre write them."""

import pytest
from django.core.exceptions import ValidationError
from django.utils import translation

from quotas.fields import PercentField, WholeNumberField


@pytest.mark.parametrize(
    "text",
    ["5000000", "5.000.000", "5,000,000", "5 000 000", "5\N{NO-BREAK SPACE}000\N{NO-BREAK SPACE}000", " 5000000 "],
)
def test_a_whole_number_may_have_separators(text: str) -> None:
    assert WholeNumberField().clean(text) == 5_000_000


@pytest.mark.parametrize(
    "text", ["1.5", "1,5", "1.50", "5.00.000", "5.000,000", "1e6", "-5", "x", "5000.000", "9" * 31]
)
def test_what_might_be_a_fraction_is_none(text: str) -> None:
    with pytest.raises(ValidationError):
        WholeNumberField().clean(text)


def test_an_empty_number_is_none_where_it_may_be() -> None:
    assert WholeNumberField(required=False).clean("") is None


@pytest.mark.parametrize(("language", "shown"), [("vi", "5.000.000"), ("en", "5,000,000")])
def test_a_whole_number_is_shown_with_separators_and_read_back(language: str, shown: str) -> None:
    field = WholeNumberField()
    with translation.override(language):
        assert field.widget.format_value(5_000_000) == shown
        assert field.widget.format_value("what was typed") == "what was typed"
        assert field.clean(shown) == 5_000_000


@pytest.mark.parametrize(("text", "basis_points"), [("0", 0), ("33.33", 3_333), ("50", 5_000), ("100", 10_000)])
def test_a_percentage_is_kept_in_basis_points(text: str, basis_points: int) -> None:
    field = PercentField()
    assert field.clean(text) == basis_points
    assert field.prepare_value(basis_points) == text


@pytest.mark.parametrize("text", ["-1", "100.01", "1.234", "x"])
def test_a_percentage_lies_between_none_and_all(text: str) -> None:
    with pytest.raises(ValidationError):
        PercentField().clean(text)
