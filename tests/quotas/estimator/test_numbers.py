"""Numbers as people write them, in two languages."""

from decimal import Decimal

import pytest
from django.utils.translation import override
from hypothesis import given
from hypothesis import strategies as st

from quotas.estimator.numbers import about, canonical, power, read, span, spell


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("405B", 405 * 10**9),
        ("405 tỷ", 405 * 10**9),
        ("405 TỈ", 405 * 10**9),
        ("7 ty", 7 * 10**9),
        ("15.6T", 15_600 * 10**9),
        ("15,6T", 15_600 * 10**9),
        ("15,6 nghìn tỷ", 15_600 * 10**9),
        ("15,6 ngàn tỉ", 15_600 * 10**9),
        ("15.6 trillion", 15_600 * 10**9),
        ("30 triệu", 30 * 10**6),
        ("2 triệu tỷ", 2 * 10**15),
        ("7e9", 7 * 10**9),
        ("15.6e12", 15_600 * 10**9),
        ("1.234e3", 1_234),
        ("1,234e3", 1_234),
        ("8192", 8_192),
        ("405 000 000 000", 405 * 10**9),
        ("405\N{NARROW NO-BREAK SPACE}000\N{NO-BREAK SPACE}000", 405 * 10**6),
        ("1.234.567", 1_234_567),
        ("1,234,567", 1_234_567),
        ("1,234.5", Decimal("1234.5")),
        ("1.234,5", Decimal("1234.5")),
        ("0.125", Decimal("0.125")),
        ("0,125", Decimal("0.125")),
        ("12,5", Decimal("12.5")),
        ("  7   B ", 7 * 10**9),
        ("-5", -5),
    ],
)
@pytest.mark.parametrize("language", ["vi", "en"])
def test_what_can_be_read_in_one_way_is_read_so_in_both_languages(text: str, number: Decimal, language: str) -> None:
    assert read(text, language) == number


@pytest.mark.parametrize(
    ("text", "vietnamese", "english"),
    [("1.500", "1500", "1.5"), ("1,500", "1.5", "1500"), ("1.500 B", "15e11", "15e8")],
)
def test_one_separator_before_three_digits_is_the_languages(text: str, vietnamese: str, english: str) -> None:
    assert (read(text, "vi"), read(text, "en")) == (Decimal(vietnamese), Decimal(english))
    with override("vi"):
        assert read(text) == Decimal(vietnamese)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "nan", "inf", "e9", "B", "7 elephants", "7 tỷ tỷ tỷ", "1.2.3", "12.34.567", "1,2,3", "0.123.456"),
        *("10²", "٣", "７", "1e9e9", "1e9999", "7,", ",7", "0x10", "1_000", "--5", "5-", "9" * 61, "1 2", "1 000 0"),
    ],
)
@pytest.mark.parametrize("language", ["vi", "en"])
def test_what_is_no_number_is_refused(text: str, language: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        read(text, language)


@given(st.integers(1, 10**18) | st.builds(lambda n, e: n * 10**e, st.integers(1, 99_999), st.integers(0, 13)))
def test_what_is_spelled_is_read_back_exactly(number: int) -> None:
    for language in ("vi", "en"):
        with override(language):
            assert read(spell(number)) == number


@given(
    st.integers(0, 10**20) | st.decimals(0, 1000, allow_nan=False, allow_infinity=False, places=4),
)
def test_an_address_is_read_the_same_in_both_languages(number: Decimal) -> None:
    assert read(canonical(number), "vi") == read(canonical(number), "en") == number


@pytest.mark.parametrize(
    ("number", "vietnamese", "english"),
    [
        (405 * 10**9, "405 tỷ", "405B"),
        (15_600 * 10**9, "15,6 nghìn tỷ", "15.6T"),
        (600 * 10**9, "600 tỷ", "600B"),
        (1_500 * 10**12, "1.500 nghìn tỷ", "1,500T"),
        (8_192, "8.192", "8,192"),
        (405_853_388_800, "405.853.388.800", "405,853,388,800"),
    ],
)
def test_it_is_spelled_as_people_do(number: int, vietnamese: str, english: str) -> None:
    with override("vi"):
        assert spell(number) == vietnamese
    with override("en"):
        assert spell(number) == english


@pytest.mark.parametrize(
    ("number", "vietnamese", "english"),
    [
        (30_358_668, "30,4 triệu", "30.4 million"),
        (999_499, "999.499", "999,499"),
        (999_999, "1 triệu", "1 million"),
        (999_999_999, "1 tỷ", "1 billion"),
        (1_668_000_000_000, "1,67 nghìn tỷ", "1.67 trillion"),
        (5 * 10**18, "5.000 triệu tỷ", "5,000 quadrillion"),
        (0, "0", "0"),
    ],
)
def test_about_is_three_figures_and_a_word(number: float, vietnamese: str, english: str) -> None:
    with override("vi"):
        assert about(number) == vietnamese
    with override("en"):
        assert about(number) == english


def test_a_time_is_in_the_unit_that_suits_it() -> None:
    with override("en"):
        times = [span(days) for days in (54.16 * 365, 730, 729, 30, 2, 1.9, 0.1, 0.01, 0.0001, 365e6)]
    assert times[:4] == ["54.2 years", "2 years", "729 days", "30 days"]
    assert times[4:] == ["2 days", "45.6 hours", "2.4 hours", "14.4 minutes", "under a minute", "1 million years"]
    with override("vi"):
        assert span(54.16 * 365) == "54,2 năm"


def test_a_power_of_ten_has_the_languages_comma() -> None:
    with override("en"):
        assert (power(41_073 * 10**21), power(9_999_999, 3), power(7)) == ("4.11 × 10^25", "1.00 × 10^7", "7.00 × 10^0")
    with override("vi"):
        assert power(41_073 * 10**21, 4) == "4,107 × 10^25"
