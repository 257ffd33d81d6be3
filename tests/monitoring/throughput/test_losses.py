"""Where observed time went: a partition, whatever the counters say, and never more known than they say."""

from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.throughput.losses import Edges, edges_of

HOUR_US = 3_600_000_000
amounts = st.integers(0, 2 * HOUR_US)


@given(amounts, amounts, amounts, amounts, amounts, st.none() | amounts)
@settings(deadline=None)
def test_the_edges_fall_from_what_was_observed_to_nothing(
    observed: int, read: int, busy: int, tensor: int, throttled: int, at_full_clock: int | None
) -> None:
    edges = edges_of(
        observed_us=observed,
        read_us=min(read, observed),
        busy_us=busy,
        tensor_us=tensor,
        throttled_us=throttled,
        at_full_clock_us=at_full_clock,
    )
    assert observed == edges.observed_us >= edges.busy_us >= edges.known_us >= edges.tensor_us >= edges.full_us >= 0
    assert edges.tensor_us - edges.full_us <= throttled


def test_an_hour_of_training() -> None:
    """90 % busy, half of the cycles with tensor cores, at 1.6 of 2 GHz, for most of the time under the power limit."""
    edges = edges_of(
        observed_us=HOUR_US,
        read_us=HOUR_US,
        busy_us=HOUR_US * 9 // 10,
        tensor_us=HOUR_US // 2,
        throttled_us=HOUR_US * 8 // 10,
        at_full_clock_us=HOUR_US * 4 // 10,
    )
    assert edges == Edges(HOUR_US, HOUR_US * 9 // 10, HOUR_US // 2, HOUR_US // 2, HOUR_US * 4 // 10)


def test_a_low_clock_that_nothing_held_down_is_no_loss() -> None:
    edges = edges_of(observed_us=100, read_us=100, busy_us=80, tensor_us=50, throttled_us=0, at_full_clock_us=30)
    assert edges.full_us == edges.tensor_us == 50


def test_nobody_is_blamed_for_tensor_cores_that_were_not_read() -> None:
    edges = edges_of(observed_us=100, read_us=0, busy_us=80, tensor_us=0, throttled_us=10, at_full_clock_us=0)
    assert (edges.busy_us, edges.known_us, edges.tensor_us) == (80, 80, 0)
    partly = edges_of(observed_us=100, read_us=70, busy_us=80, tensor_us=40, throttled_us=0, at_full_clock_us=40)
    assert partly.busy_us - partly.known_us == 10  # the other 30 may have lain where nobody read


def test_tensor_cores_prove_that_something_ran() -> None:
    """Utilisation is sampled, cycles are counted."""
    edges = edges_of(observed_us=100, read_us=100, busy_us=0, tensor_us=60, throttled_us=0, at_full_clock_us=60)
    assert edges.busy_us == 60


def test_without_a_known_clock_all_that_may_be_lost_is() -> None:
    edges = edges_of(observed_us=100, read_us=100, busy_us=90, tensor_us=60, throttled_us=20, at_full_clock_us=None)
    assert edges.full_us == 40
