from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.jobs.durations import (
    DurationInvalid,
    duration_input,
    duration_text,
    slurm_time,
    time_limit_parse,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2h", 7200),
        ("90m", 5400),
        ("1:30:00", 5400),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("1.5h", 5400),
        ("1,5 giờ", 5400),
        ("30 phút", 1800),
        ("1 ngày", 86400),
        ("1-12:00:00", 129600),
        ("2 days", 172800),
        (" 5 MIN ", 300),
        ("61s", 120),
        ("0:00:30", 60),
    ],
)
def test_it_reads_what_people_write_and_rounds_up_to_slurms_minutes(text, seconds):
    assert time_limit_parse(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "  ", "soon", "2", "90", "1:30", "2x", "2h soon", "-2h", "0h", "0:00:00", "999999d", "1e9h", "h"]
)
def test_it_refuses_what_is_ambiguous_or_absurd(text):
    with pytest.raises(DurationInvalid):
        time_limit_parse(text)


@given(st.integers(min_value=1, max_value=60 * 24 * 366).map(lambda minutes: minutes * 60))
def test_what_it_writes_it_reads_back(seconds):
    assert time_limit_parse(duration_input(seconds)) == seconds
    assert time_limit_parse(duration_text(seconds)) == seconds


@given(st.text(max_size=40))
def test_nothing_else_than_its_own_error_comes_out(text):
    with suppress(DurationInvalid):
        seconds = time_limit_parse(text)
        assert seconds % 60 == 0
        assert seconds > 0


def test_it_speaks_slurms_form():
    assert slurm_time(93_900) == "1-02:05:00"
    assert slurm_time(60) == "00:01:00"
