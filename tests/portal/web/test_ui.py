import pytest
from django.utils import translation

from portal.web.templatetags import ui


@pytest.mark.parametrize(
    ("gpu_seconds", "text"),
    [
        (0, "0"),
        (3600, "1"),
        (90, "0,03"),
        (1, "<0,01"),
        (-1, "−<0,01"),
        (3600 * 1234567, "1.234.567"),
        (3600 * 1_019 + 3_096, "1.019,86"),
        (3600 * 250 + 1800, "250,5"),
        (87_840, "24,4"),
        (3600 * 7 + 36 * 99, "7,99"),
        (None, ""),
    ],
)
def test_gpu_hours_have_two_decimals_at_most(gpu_seconds: int | None, text: str) -> None:
    with translation.override("vi"):
        assert ui.gpu_hours(gpu_seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (3600, "1 h"), (7500, "2 h 5 min"), (90_061, "1 d 1 h"), (86_405, "1 d")],
)
def test_a_duration_shows_its_two_largest_units(seconds: int, text: str) -> None:
    with translation.override("en"):
        assert ui.duration(seconds) == text


def test_an_icon_is_hidden_from_screen_readers_and_carries_no_size() -> None:
    markup = ui.icon("home")
    assert 'aria-hidden="true"' in markup
    assert "width=" not in markup.split("<path")[0]


@pytest.mark.parametrize("name", ["../../settings", "Home", "", "no-such-icon"])
def test_an_icon_is_a_file_of_the_set(name: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError)):
        ui.icon(name)


def test_a_badge_has_a_known_tone_and_escapes_its_word() -> None:
    assert "&lt;b&gt;" in ui.badge("good", "check", "<b>")
    with pytest.raises(ValueError, match="tone"):
        ui.badge("green", "check", "x")


def test_a_bar_of_nothing_is_empty() -> None:
    assert ui.bar()["total"] == 0


def test_a_bars_parts_fill_it() -> None:
    segments = ui.bar(consumed=1, held=1, free=2)["segments"]
    assert [(part["x"], part["width"]) for part in segments] == [
        ("0.000", "25.000"),
        ("25.000", "25.000"),
        ("50.000", "50.000"),
    ]


def test_a_bar_shows_an_overrun_once() -> None:
    parts = ui.bar(consumed=30, held=0, free=0, over=10)
    assert [(part["name"], part["amount"]) for part in parts["segments"] if part["amount"]] == [
        ("consumed", 20),
        ("over", 10),
    ]
    assert parts["total"] == 30


@pytest.mark.parametrize(("name", "letters"), [("Nguyễn Thị Lan", "NL"), ("Ánh", "Á"), ("", "")])
def test_initials_are_of_the_first_and_the_given_name(name: str, letters: str) -> None:
    assert ui.initials(name) == letters
