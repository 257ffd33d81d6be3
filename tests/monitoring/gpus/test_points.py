"""No second of another's work is ever in a point, and what was not read is no point."""

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from monitoring.gpus.chart import path_of, round_top
from monitoring.gpus.points import AT, Owned, mean, points_of
from monitoring.rollups.stretches import AGE, BUSY, ENERGY, MEMORY_USED, OBSERVED, TENSOR, TENSOR_BUSY

STEP = 15.0


def columns(*busy: float, observed: float = 1.0, gap: frozenset[int] = frozenset()) -> dict[str, dict[float, float]]:
    """A scrape each 15 s; between two of them the GPU was busy for that part of the time."""
    at = [number * STEP for number in range(len(busy) + 1)]
    known = [number for number in range(len(at)) if number not in gap]
    sums = [0.0, *accumulate(part * STEP for part in busy)]
    seen = [observed * time for time in at]

    def column(values: list[float]) -> dict[float, float]:
        return {at[number]: values[number] for number in known}

    return {
        AT: column(at),
        AGE: column([0.0] * len(at)),
        OBSERVED: column(seen),
        BUSY: column([one * observed for one in sums]),
        TENSOR: column(seen),
        TENSOR_BUSY: column([one * observed / 2 for one in sums]),
        ENERGY: column([400 * one for one in seen]),
        MEMORY_USED: column([7.0] * len(at)),
    }


@given(
    st.lists(st.sampled_from([0.0, 1.0]), min_size=6, max_size=30),
    st.floats(0, 200),
    st.floats(1, 200),
    st.sets(st.integers(0, 30), max_size=8),
)
def test_a_point_lies_inside_the_job_s_own_time_and_is_the_mean_of_it(
    busy: list[float], began: float, length: float, gap: set[int]
) -> None:
    owned = Owned("GPU-a", "n1", began, began + length)
    for point in points_of(owned, columns(*busy, gap=frozenset(gap))):
        assert owned.began <= point.began < point.ended <= owned.ended
        parts = busy[round(point.began / STEP) : round(point.ended / STEP)]
        assert abs((point.busy or 0) - sum(parts) / len(parts)) < 1e-9
        assert abs((point.tensor or 0) * 2 - (point.busy or 0)) < 1e-9
        assert abs((point.watts or 0) - 400) < 1e-6


def test_a_counter_that_fell_what_was_hardly_read_and_a_repeated_scrape_are_no_points() -> None:
    owned = Owned("GPU-a", "n1", 0, 1_000)
    fell = columns(1, 1, 1, 1)
    fell[OBSERVED] |= {45.0: 3.0, 60.0: 18.0}
    assert [point.began for point in points_of(owned, fell)] == [0, 15, 45]
    assert points_of(owned, columns(1, 1, 1, observed=0.4)) == []
    same = columns(1, 1)
    same[AT] |= {15.0: 0.0, 30.0: 0.0}
    assert points_of(owned, same) == []


def test_what_a_gpu_does_not_say_is_none_and_never_zero() -> None:
    a100 = columns(1, 1)
    del a100[TENSOR], a100[TENSOR_BUSY]
    points = points_of(Owned("GPU-a", "n1", 0, 1_000), a100)
    assert [point.tensor for point in points] == [None, None]
    assert mean(points, "tensor") is None
    assert mean(points, "busy") == 1


def test_a_line_breaks_where_nothing_was_measured() -> None:
    line = path_of([(0, 10, 0.5), (10, 20, 0.5), (60, 70, 1.0)], 0, 100, lambda value: 100 * (1 - value))
    assert line == "M0 50.0H60L60 50.0H120M360 0.0H420"
    assert [round_top(most) for most in (0, 100, 101, 640, 700)] == [100, 100, 200, 1_000, 1_000]
