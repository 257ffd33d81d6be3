"""How a run falls on the centre's days: exact integers, midnight at UTC+7."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.days import Days, date_read, gpu_seconds_by_day, last_month, this_month, this_year
from tests.monitoring.conftest import HANOI, hanoi

ZONES = st.sampled_from([HANOI, ZoneInfo("UTC"), ZoneInfo("Europe/Berlin"), ZoneInfo("America/Sao_Paulo")])
MOMENTS = st.integers(min_value=0, max_value=2_000_000_000).map(lambda epoch_s: datetime.fromtimestamp(epoch_s, UTC))
LENGTHS_S = st.integers(min_value=0, max_value=40 * 86_400)


def test_a_run_over_midnight_is_split_where_the_day_ends_in_hanoi() -> None:
    split = gpu_seconds_by_day(3 * 7_200, hanoi("2026-06-01 23:30"), hanoi("2026-06-02 01:30"), HANOI)
    assert split == {date(2026, 6, 1): 3 * 1_800, date(2026, 6, 2): 3 * 5_400}


def test_midnight_in_utc_splits_nothing_in_hanoi() -> None:
    started_at, ended_at = datetime(2026, 6, 1, 23, tzinfo=UTC), datetime(2026, 6, 2, 1, tzinfo=UTC)
    assert gpu_seconds_by_day(7_200, started_at, ended_at, HANOI) == {date(2026, 6, 2): 7_200}


def test_a_run_that_ends_at_midnight_has_nothing_on_the_next_day() -> None:
    split = gpu_seconds_by_day(3_600, hanoi("2026-06-01 23:00"), hanoi("2026-06-02 00:00"), HANOI)
    assert split == {date(2026, 6, 1): 3_600}


def test_a_charge_that_differs_goes_by_the_largest_remainder() -> None:
    """100 GPU-seconds over 1 h and 2 h: 33 and 66, and the one that is left to the larger remainder."""
    split = gpu_seconds_by_day(100, hanoi("2026-06-01 23:00"), hanoi("2026-06-02 02:00"), HANOI)
    assert split == {date(2026, 6, 1): 33, date(2026, 6, 2): 67}


def test_a_run_without_a_length_falls_on_the_day_of_its_end() -> None:
    moment = hanoi("2026-06-02 00:00")
    assert gpu_seconds_by_day(5, moment, moment, HANOI) == {date(2026, 6, 2): 5}


@given(amount=st.integers(0, 10**12), started_at=MOMENTS, length_s=LENGTHS_S, zone=ZONES)
def test_the_days_always_add_up_to_the_charge(amount: int, started_at: datetime, length_s: int, zone: ZoneInfo) -> None:
    split = gpu_seconds_by_day(amount, started_at, started_at + timedelta(seconds=length_s), zone)
    assert sum(split.values()) == amount
    assert all(part >= 0 for part in split.values())


@given(gpus=st.integers(1, 512), started_at=MOMENTS, length_s=LENGTHS_S, zone=ZONES)
def test_a_plain_run_has_gpus_times_the_seconds_of_each_day(
    gpus: int, started_at: datetime, length_s: int, zone: ZoneInfo
) -> None:
    """Counted the slow way: in UTC, day by day of the zone."""
    ended_at = started_at + timedelta(seconds=length_s)
    split = gpu_seconds_by_day(gpus * length_s, started_at, ended_at, zone)
    for day, part in split.items():
        begins_at = datetime.combine(day, datetime.min.time(), zone).astimezone(UTC)
        ends_at = datetime.combine(day + timedelta(days=1), datetime.min.time(), zone).astimezone(UTC)
        assert part == gpus * max(0, int((min(ended_at, ends_at) - max(started_at, begins_at)).total_seconds()))


def test_a_range_includes_both_ends() -> None:
    days = Days(date(2026, 6, 1), date(2026, 6, 3))
    assert list(days) == [date(2026, 6, 1), date(2026, 6, 2), date(2026, 6, 3)]
    assert date(2026, 6, 3) in days
    assert date(2026, 6, 4) not in days
    assert days.begins_at(HANOI) == hanoi("2026-06-01 00:00")
    assert days.ends_at(HANOI) == hanoi("2026-06-04 00:00")


def test_a_reversed_range_does_not_exist() -> None:
    with pytest.raises(ValueError, match="before the first"):
        Days(date(2026, 6, 2), date(2026, 6, 1))


def test_usual_ranges() -> None:
    today = date(2026, 1, 15)
    assert this_month(today) == Days(date(2026, 1, 1), today)
    assert last_month(today) == Days(date(2025, 12, 1), date(2025, 12, 31))
    assert this_year(today) == Days(date(2026, 1, 1), today)


@pytest.mark.parametrize("text", ["20260601", "2026-W23-1", "2026-6-1", "01/06/2026", "2026-02-30", "9999-12-31", ""])
def test_a_date_has_one_form(text: str) -> None:
    with pytest.raises(ValueError, match=r"YYYY|day|month|before"):
        date_read(text)
