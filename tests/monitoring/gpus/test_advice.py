"""A closed list: every advice has its threshold, its words and its next step."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.gpus.advice import Measured, advice_for, codes_for

GOOD = Measured(
    gpu_seconds=36_000, coverage=0.99, busy=0.9, tensor=0.4, throttled=0.0, memory=0.7, gpus=8, gpus_idle=0,
    declared=True, above_possible=False, is_slice=False,
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({}, []),
        ({"busy": 0.01, "tensor": 0.0, "memory": 0.01}, ["idle"]),
        ({"busy": 0.3}, ["low"]),
        ({"busy": 0.5, "gpus_idle": 4}, ["some_idle"]),
        ({"tensor": 0.0}, ["no_tensor"]),
        ({"tensor": 0.05}, ["little_tensor"]),
        ({"tensor": None, "declared": False}, []),  # an A100: what it does not say is no reason
        ({"declared": False}, ["undeclared"]),
        ({"throttled": 0.2}, ["throttled"]),
        ({"memory": 0.97}, ["memory_full"]),
        ({"memory": 0.1}, ["memory_small"]),
        ({"memory": 0.1, "is_slice": True}, []),
        ({"above_possible": True}, ["above_possible"]),
        ({"coverage": 0.4, "busy": 0.0}, ["unobserved"]),
        ({"coverage": None, "busy": None}, ["unobserved"]),
        ({"gpu_seconds": 60, "busy": 0.0}, []),
    ],
)
def test_each_threshold(changes: dict[str, object], codes: list[str]) -> None:
    assert codes_for(replace(GOOD, **changes)) == codes


@given(
    st.builds(
        Measured,
        gpu_seconds=st.integers(0, 10**6),
        coverage=st.none() | st.floats(0, 1),
        busy=st.none() | st.floats(0, 1),
        tensor=st.none() | st.floats(0, 1),
        throttled=st.none() | st.floats(0, 1),
        memory=st.none() | st.floats(0, 1),
        gpus=st.integers(0, 8),
        gpus_idle=st.integers(0, 8),
        declared=st.booleans(),
        above_possible=st.booleans(),
        is_slice=st.booleans(),
    )
)
def test_every_advice_says_what_to_do_and_none_rests_on_what_was_not_seen(measured: Measured) -> None:
    found = advice_for(measured)
    assert all(one.text and one.todo for one in found)
    if measured.coverage is None or measured.coverage < 0.5:
        assert {one.code for one in found} <= {"unobserved", "above_possible"}
