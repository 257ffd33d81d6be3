"""What belongs to whom between two scrapes, sample by sample."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.rollups.stretches import (
    AGE,
    BUSY,
    COUNTER,
    CYCLES,
    OBSERVED,
    TENSOR,
    Amounts,
    Name,
    Owner,
    Readings,
    Samples,
    fold,
)

SCRAPE_S = 15.0
CLOCK_HZ = 1e9
HOUR = (0.0, 3_600.0)


def owner(run: object, charged_from: float, charged_to: float, hook_s: float = 0.0) -> Owner:
    return Owner(run, charged_from - hook_s, charged_to + hook_s, charged_from, charged_to)


def readings(at: list[float], observed: list[float] | None = None, *, ages: bool = True) -> Readings:
    """A GPU whose tensor cores are busy whenever it is read, at one reading a scrape."""
    observed = at if observed is None else observed
    series: dict[Name, Samples] = {
        OBSERVED: Samples(at, observed),
        (TENSOR, COUNTER): Samples(at, observed),
        CYCLES: Samples(at, [seconds * CLOCK_HZ for seconds in observed]),
        BUSY: Samples(at, observed),
    }
    if ages:
        series[AGE] = Samples(at, [0.0] * len(at))
    return Readings(series, SCRAPE_S)


def every(first: float, last: float, step: float = SCRAPE_S) -> list[float]:
    return [first + number * step for number in range(int((last - first) / step) + 1)]


def seconds(amounts: Amounts) -> tuple[float, float, float]:
    return amounts.observed_us / 1e6, amounts.two_owners_us / 1e6, amounts.unread_us / 1e6


def test_one_owner_has_all_of_it() -> None:
    found = fold(readings(every(-30, 3_630)), [owner("a", -1_000, 9_000)], *HOUR)["a"]
    assert seconds(found) == (3_600, 0, 0)
    assert (found.counter_us, found.gauge_us, found.busy_us) == (3_600_000_000, 0, 3_600_000_000)
    assert found.tensor_clock_cycles == pytest.approx(3_600 * CLOCK_HZ)


def test_a_run_that_begins_inside_a_stretch_has_its_part_of_it() -> None:
    """The idle time before it adds nothing to the counters that matter, and the seconds are clipped."""
    found = fold(readings(every(-30, 3_630)), [owner("a", 7, 22)], *HOUR)["a"]
    assert seconds(found) == (15, 0, 0)
    assert found.tensor_clock_cycles == pytest.approx(30 * CLOCK_HZ)  # never less than what it did: the bound holds


def test_two_owners_in_one_stretch_lose_it_both() -> None:
    found = fold(readings(every(-30, 3_630)), [owner("a", -50, 7), owner("b", 9, 50)], *HOUR)
    assert seconds(found["a"]) == (0, 7, 0)
    assert seconds(found["b"]) == (35, 6, 0)


def test_a_prolog_is_an_owner_too() -> None:
    """The run itself begins in the next stretch, but its prolog was on the GPU in this one."""
    found = fold(readings(every(-30, 3_630)), [owner("a", -50, 7), Owner("b", 9, 50, 16, 50)], *HOUR)
    assert seconds(found["a"]) == (0, 7, 0)


def test_a_gap_belongs_to_nobody() -> None:
    at = [*every(-30, 600), *every(750, 3_630)]
    found = fold(readings(at), [owner("a", -1_000, 9_000)], *HOUR)["a"]
    assert seconds(found) == (3_450, 0, 0)
    missed_one = [one for one in every(-30, 3_630) if one != 600]
    assert seconds(fold(readings(missed_one), [owner("a", -9, 9_000)], *HOUR)["a"]) == (3_600, 0, 0)


def test_a_restart_of_the_exporter_costs_what_it_did_not_read() -> None:
    """Readings at 600 and 615; it restarts in between and reads again from 608 on."""
    at = every(-30, 3_630)
    observed = [one + 100 if one <= 600 else one - 608 for one in at]
    found = fold(readings(at, observed), [owner("a", -1_000, 9_000)], *HOUR)["a"]
    assert seconds(found) == (3_592, 0, 8)
    assert found.tensor_clock_cycles == pytest.approx(3_592 * CLOCK_HZ)


def test_a_restart_beside_a_run_costs_it_no_more_than_it_has_of_that_stretch() -> None:
    """Eight seconds of the stretch from 600 to 615 were not read: of one run three of them, of the other one."""
    at = every(-30, 3_630)
    observed = [one + 100 if one <= 600 else one - 608 for one in at]
    begins = fold(readings(at, observed), [owner("a", 612, 700)], *HOUR)["a"]
    assert seconds(begins) == (85, 0, 3)
    ends = fold(readings(at, observed), [owner("a", 500, 601)], *HOUR)["a"]
    assert seconds(ends) == (100, 0, 1)


def test_a_gpu_that_nobody_could_read_is_unread() -> None:
    at = every(-30, 3_630)
    observed = [min(one, 600) if one < 1_200 else one - 600 for one in at]
    found = fold(readings(at, observed), [owner("a", -1_000, 9_000)], *HOUR)["a"]
    assert seconds(found) == (3_000, 0, 600)


def test_what_lies_outside_the_run_is_a_class_of_its_own() -> None:
    found = fold(readings(every(-30, 3_630)), [Owner("a", 60, 240, 90, 210)], *HOUR)["a"]
    assert seconds(found) == (120, 0, 0)
    assert found.outside_us == 60_000_000


def test_nothing_is_charged_to_a_job_that_is_nobody_of_ours() -> None:
    found = fold(readings(every(-30, 3_630)), [Owner("x", 0, 90, None, None)], *HOUR)
    assert seconds(found["x"]) == (0, 0, 0)
    assert found["x"].tensor_clock_cycles == 0


def test_without_the_age_of_a_reading_the_stretch_begins_a_scrape_earlier() -> None:
    """Then the reading behind the scrape at 15 may be one from the time of the owner before."""
    owners = [owner("a", -500, 2), owner("b", 16, 500)]
    assert seconds(fold(readings(every(-30, 3_630)), owners, *HOUR)["b"]) == (484, 0, 0)
    assert seconds(fold(readings(every(-30, 3_630), ages=False), owners, *HOUR)["b"]) == (470, 14, 0)


def test_cycles_that_enter_the_counters_after_the_end_are_the_runs() -> None:
    """Read at 45, scraped at 60 for the first time: the run ended at 44, and nobody else came."""
    found = fold(readings(every(-30, 3_630), ages=False), [owner("a", 0, 44)], *HOUR)["a"]
    assert found.tensor_clock_cycles == pytest.approx(60 * CLOCK_HZ)
    assert found.observed_us == 44_000_000


def test_a_scrape_that_another_series_lacks_is_unread_there_alone() -> None:
    at = every(-30, 3_630)
    with_hole = readings(at)
    kept = [one for one in at if one != 600]
    with_hole = Readings(
        {
            OBSERVED: Samples(at, at),
            AGE: Samples(at, [0.0] * len(at)),
            (TENSOR, COUNTER): Samples(kept, kept),
            CYCLES: Samples(kept, [one * CLOCK_HZ for one in kept]),
        },
        SCRAPE_S,
    )
    found = fold(with_hole, [owner("a", -1_000, 9_000)], *HOUR)["a"]
    assert (found.observed_us, found.counter_us) == (3_600_000_000, 3_570_000_000)


steps = st.lists(st.floats(1, 60), min_size=1, max_size=60)


@given(steps, st.lists(st.floats(0, 1_500), min_size=2, max_size=8, unique=True), st.data())
def test_windows_add_up_and_no_second_is_counted_twice(
    gaps: list[float], edges: list[float], data: st.DataObject
) -> None:
    """However scrapes fall and whoever owned when: the windows' sums are the whole's, and never more than was owned."""
    at = [0.0]
    for gap in gaps:
        at.append(at[-1] + gap)
    observed = [data.draw(st.floats(0, 1)) * (after - before) for before, after in zip([0.0, *at], at, strict=False)]
    counter = [sum(observed[: number + 1]) for number in range(len(at))]
    edges.sort()
    owners = [owner(number, *pair) for number, pair in enumerate(pairwise(edges))]
    series = readings(at, counter)
    whole = fold(series, owners, -100, 4_000)
    halves = [fold(series, owners, *window) for window in ((-100, 300), (300, 900), (900, 4_000))]
    for one in owners:
        parts = [half[one.run] for half in halves if one.run in half]
        for name in ("observed_us", "two_owners_us", "counter_us"):
            total = getattr(whole.get(one.run, Amounts()), name)
            assert sum(getattr(part, name) for part in parts) <= (one.ended - one.started) * 1e6 + 10
            if name == "two_owners_us":
                assert sum(getattr(part, name) for part in parts) == pytest.approx(total, abs=10)
    assert sum(amounts.observed_us for amounts in whole.values()) <= (counter[-1] - counter[0]) * 1e6 + 10
