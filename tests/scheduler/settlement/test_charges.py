"""The charge rules, without a database."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.clusters.adapters.protocol import AccountingRecord
from scheduler.settlement import charges

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_an_untyped_gpu_takes_the_partitions_type_then_the_default():
    assert charges.gpus_named({"gpu": 2}, partition_type="h100", default_type="v100") == {"h100": 2}
    assert charges.gpus_named({"gpu": 2}, default_type="v100") == {"v100": 2}
    assert charges.gpus_named({"gpu": 2}) == {"gpu": 2}
    assert charges.gpus_named({"h100": 2}, partition_type="h200", default_type="v100") == {"h100": 2}
    assert charges.gpus_named({"h100": 2, "gpu": 1}, partition_type="h100") == {"h100": 3}


def test_a_charge_is_gpus_times_elapsed_seconds():
    assert charges.gpu_seconds({"h100": 8}, 86) == 688
    assert charges.gpu_seconds({}, 86) == 0
    assert charges.gpu_seconds({"h100": 8}, 0) == 0


def test_a_hold_covers_the_limit_and_the_overshoot():
    assert charges.hold_gpu_seconds(gpus=16, time_limit_s=3600, overshoot_s=60) == 16 * 3660


def test_a_charges_id_is_fixed_for_ever():
    # Written down: if this value changes, everything already charged would be charged again.
    assert charges.charge_id("local", 25, NOON) == UUID("e4a696d1-fdd1-5e60-8337-99fa868e3fca")


@given(st.integers(1, 2**31), st.integers(1, 2**31), st.datetimes(), st.datetimes())
def test_different_records_have_different_ids(one, other, submitted, submitted_again):
    first = charges.charge_id_of_epoch("local", one, int(submitted.replace(tzinfo=UTC).timestamp()))
    second = charges.charge_id_of_epoch("local", other, int(submitted_again.replace(tzinfo=UTC).timestamp()))
    same = one == other and submitted.replace(microsecond=0) == submitted_again.replace(microsecond=0)
    assert (first == second) == same


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL", "REQUEUED", "RESIZING"])
def test_a_record_with_an_end_is_final(state):
    assert charges.is_final(state, NOON)
    assert not charges.is_final(state, None)


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "SUSPENDED"])
def test_an_open_record_is_not_final(state):
    assert not charges.is_final(state, NOON)
    record = AccountingRecord(1, "1", "a", "u", "q", "p", state, NOON, NOON, NOON, 1, {})
    assert not record.is_final


def test_every_slurm_state_has_one_of_the_portal():
    assert charges.job_state("OUT_OF_MEMORY") == "failed"
    assert charges.job_state("DEADLINE") == "timeout"
    assert charges.job_state("SOMETHING_NEW") == "failed"
