from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.jobs.durations import time_limit_parse
from scheduler.jobs.preflight import Facts, PartitionLimits, Shape, hold_gpu_seconds, longest_time_limit_s, preflight

HOUR_S, DAY_S = 3_600, 86_400
H100 = PartitionLimits(name="h100", is_up=True, nodes=3, gpus_per_node=8, max_time_s=2 * DAY_S)
FACTS = Facts(
    today=date(2026, 6, 1),
    allocation_state="active",
    starts_on=date(2026, 1, 1),
    ends_on=date(2026, 12, 31),
    free_gpu_seconds=100 * HOUR_S,
    overshoot_s=60,
    cluster_title="Trung tâm 1",
    partitions=(H100,),
    unix_account="minh",
    unix_account_exists=True,
)
SHAPE = Shape(gpu_type="h100", gpus_per_node=2, nodes=1, time_limit_s=HOUR_S)


def codes(shape: Shape = SHAPE, **changes: object) -> list[tuple[str, str]]:
    return [(problem.code, problem.field) for problem in preflight(shape, replace(FACTS, **changes)).problems]


def test_what_fits_is_priced_with_the_overshoot():
    verdict = preflight(SHAPE, FACTS)
    assert verdict.fits
    assert verdict.partition == "h100"
    assert verdict.cost_gpu_seconds == 2 * HOUR_S
    assert verdict.hold_gpu_seconds == 2 * (HOUR_S + 60)
    assert verdict.free_after_gpu_seconds == 100 * HOUR_S - 2 * (HOUR_S + 60)


@pytest.mark.parametrize(
    ("shape", "problem"),
    [
        (replace(SHAPE, gpus_per_node=0), ("no_gpu", "gpus_per_node")),
        (replace(SHAPE, gpus_per_node=-1), ("no_gpu", "gpus_per_node")),
        (replace(SHAPE, gpus_per_node=9), ("gpus_per_node", "gpus_per_node")),
        (replace(SHAPE, gpus_per_node=10_000), ("gpus_per_node", "gpus_per_node")),
        (replace(SHAPE, nodes=0), ("no_node", "nodes")),
        (replace(SHAPE, nodes=4), ("nodes", "nodes")),
        (replace(SHAPE, time_limit_s=0), ("no_time", "time_limit")),
        (replace(SHAPE, time_limit_s=365 * DAY_S), ("partition_time", "time_limit")),
        (replace(SHAPE, time_limit_s=50 * HOUR_S), ("partition_time", "time_limit")),
        (replace(SHAPE, gpus_per_node=8, time_limit_s=20 * HOUR_S), ("balance", "time_limit")),
    ],
)
def test_it_names_the_limit_beside_its_field(shape, problem):
    assert problem in codes(shape)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"unix_account": ""}, "no_unix_account"),
        ({"unix_account_exists": False}, "unix_account_missing"),
        ({"allocation_state": "suspended"}, "suspended"),
        ({"allocation_state": "closed"}, "closed"),
        ({"allocation_state": "expired"}, "expired"),
        ({"today": date(2027, 1, 1)}, "expired"),
        ({"today": date(2025, 12, 31)}, "not_begun"),
        ({"partitions": ()}, "no_partition"),
        ({"partitions": (replace(H100, is_up=False),)}, "partition_down"),
        ({"free_gpu_seconds": 0}, "balance"),
        ({"free_gpu_seconds": 119}, "balance"),
    ],
)
def test_it_names_what_stands_in_the_way(changes, code):
    assert codes(**changes) == [(code, "allocation")]


@pytest.mark.parametrize("today", [date(2026, 1, 1), date(2026, 12, 31)])
def test_both_ends_of_the_dates_are_open(today):
    assert codes(today=today) == []


def test_an_account_that_nobody_looked_for_yet_does_not_block():
    assert codes(unix_account_exists=None) == []


def test_the_longest_time_that_fits_is_named_and_offered():
    [problem] = preflight(replace(SHAPE, gpus_per_node=8, time_limit_s=20 * HOUR_S), FACTS).problems
    assert [(fix.field, fix.value) for fix in problem.fixes] == [("time_limit", "12h29m")]  # 100 h / 8 − 1 minute
    assert "{" not in str(problem)


def test_too_many_gpus_for_any_time_offers_fewer():
    shape = replace(SHAPE, gpus_per_node=8)
    [problem] = preflight(shape, replace(FACTS, free_gpu_seconds=2 * (HOUR_S + 60) - 1)).problems
    assert problem.field == "time_limit"
    [problem] = preflight(shape, replace(FACTS, free_gpu_seconds=500)).problems
    assert problem.field == "gpus_per_node"
    assert [fix.value for fix in problem.fixes] == ["4"]


def test_of_several_partitions_it_takes_the_open_one_that_fits():
    small, closed = replace(H100, name="small", nodes=1), replace(H100, name="closed", is_up=False, nodes=100)
    assert preflight(replace(SHAPE, nodes=2), replace(FACTS, partitions=(small, closed, H100))).partition == "h100"


shapes = st.builds(
    Shape,
    gpu_type=st.just("h100"),
    gpus_per_node=st.integers(-2, 20),
    nodes=st.integers(-2, 6),
    time_limit_s=st.integers(0, 40 * 24 * 60).map(lambda minutes: minutes * 60),
)
facts = st.builds(
    lambda free, overshoot: replace(FACTS, free_gpu_seconds=free, overshoot_s=overshoot),
    st.integers(-100, 400 * HOUR_S),
    st.integers(0, 600),
)


@given(shapes, facts)
def test_what_fits_is_covered_and_every_fix_helps(shape, facts):
    verdict = preflight(shape, facts)
    if verdict.fits:
        assert 0 < verdict.hold_gpu_seconds <= facts.free_gpu_seconds
        assert shape.time_limit_s <= verdict.longest_s
    for problem in verdict.problems:
        assert str(problem)
        for fix in problem.fixes:
            value = time_limit_parse(fix.value) if fix.field == "time_limit" else int(fix.value)
            field = "time_limit_s" if fix.field == "time_limit" else fix.field
            assert value > 0
            fixed = replace(shape, **{field: value})
            if problem.code != "balance":
                assert problem.code not in [other.code for other in preflight(fixed, facts).problems]
            elif fix.field == "time_limit":
                assert "balance" not in [other.code for other in preflight(fixed, facts).problems]


@given(st.integers(1, 100), st.integers(0, 10**9), st.integers(0, 600))
def test_the_longest_time_is_the_longest(gpus, free, overshoot):
    longest = longest_time_limit_s(gpus=gpus, free_gpu_seconds=free, overshoot_s=overshoot, max_time_s=0)
    assert longest % 60 == 0
    if longest:
        assert hold_gpu_seconds(gpus=gpus, time_limit_s=longest, overshoot_s=overshoot) <= free
    assert hold_gpu_seconds(gpus=gpus, time_limit_s=longest + 60, overshoot_s=overshoot) > free
