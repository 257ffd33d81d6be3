"""What a slice of a GPU costs, and what is known of slices: exact, never less than used, and never changed."""

import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, transaction
from hypothesis import given
from hypothesis import strategies as st

from portal.clock import now
from scheduler.clusters.errors import ShareFixed
from scheduler.clusters.models import Cluster, GpuSlice, QosRule
from scheduler.clusters.qos_rules import SANDBOX_LIMITS, PersonLimits, person_limits
from scheduler.clusters.services import gpu_slice_add
from scheduler.clusters.slices import Share, Slices, slices_read

SHARES = st.integers(2, 64).flatmap(lambda whole: st.tuples(st.integers(1, whole - 1), st.just(whole)))
RUNS = st.lists(st.tuples(st.integers(0, 512), st.integers(0, 10**7)), max_size=30)  # slices, seconds


@given(share=SHARES, runs=RUNS)
def test_each_record_costs_its_share_rounded_up_by_less_than_a_second(share: tuple[int, int], runs: list) -> None:
    parts, whole = share
    of = Share("h100", parts, whole).of
    for slices, elapsed_s in runs:
        exact = slices * elapsed_s * parts  # in 1/whole of a GPU-second
        assert 0 <= of(slices * elapsed_s) * whole - exact < whole
    charged = sum(of(slices * elapsed_s) for slices, elapsed_s in runs)
    used = sum(slices * elapsed_s for slices, elapsed_s in runs)
    assert 0 <= charged * whole - used * parts <= len(runs) * (whole - 1)


@given(share=SHARES, runs=RUNS)
def test_what_slurm_counts_is_what_is_charged_and_what_is_not(share: tuple[int, int], runs: list) -> None:
    """The limit is raised by what is not charged, so it must never be less than nothing."""
    slices = Slices({"part": Share("h100", *share)})
    for count, elapsed_s in runs:
        counted = count * elapsed_s
        assert 0 <= slices.charged("part", counted) <= counted
        assert slices.charged("h100", counted) == counted


def test_a_slice_belongs_to_its_parents_allocations() -> None:
    slices = Slices(
        {"h100_1g.10gb": Share("h100", 1, 7), "h100_3g.40gb": Share("h100", 3, 7), "x": Share("h200", 1, 2)}
    )
    assert slices.of_parent("h100") == ["h100", "h100_1g.10gb", "h100_3g.40gb"]
    assert (slices.parent("h100_3g.40gb"), slices.parent("h100"), slices.parent("mi300x")) == ("h100", "h100", "mi300x")


@pytest.mark.django_db
def test_a_share_never_changes() -> None:
    out = io.StringIO()
    call_command("gpu_slice", "h100_1g.10gb", "--of", "h100", "--share", "1/7", "--json", stdout=out)
    assert json.loads(out.getvalue().splitlines()[-1]) == {"gpu_type": "h100_1g.10gb", "parent": "h100", "share": "1/7"}
    assert gpu_slice_add(gpu_type="H100_1g.10gb", parent="h100", parts=1, whole=7).pk == GpuSlice.objects.get().pk
    with pytest.raises(ShareFixed, match="1/7"):
        gpu_slice_add(gpu_type="h100_1g.10gb", parent="h100", parts=2, whole=7)
    with pytest.raises(CommandError, match="1/7"):
        call_command("gpu_slice", "h100_1g.10gb", "--of", "h200", "--share", "1/7")
    with pytest.raises(DatabaseError), transaction.atomic():
        GpuSlice.objects.update(parts=2)
    with pytest.raises(DatabaseError), transaction.atomic():
        gpu_slice_add(gpu_type="h100_7g.80gb", parent="h100", parts=7, whole=7)
    for share in ("7/7", "8/7", "0/7", "1/0", "0.5", "-1/7"):
        with pytest.raises(CommandError, match="share"):
            call_command("gpu_slice", "y", "--of", "h100", "--share", share)
    assert slices_read().get("h100_1g.10gb") == Share("h100", 1, 7)


@pytest.mark.django_db
def test_rules_of_a_cluster(cluster: Cluster) -> None:
    assert person_limits(cluster) == {"sandbox": SANDBOX_LIMITS}
    call_command("qos_rule", "local", "cpu", "--hours=12", "--jobs=4", "--queued=20", "--cpus=16", stdout=io.StringIO())
    assert person_limits(cluster)["cpu"] == PersonLimits(12 * 3_600, jobs=4, queued=20, cpus=16)
    for wrong in (["cpu", "--hours=12", "--jobs=4", "--queued=20"], ["sandbox", "--hours=1", "--jobs=2", "--queued=1"]):
        with pytest.raises(CommandError, match="no rule"), transaction.atomic():
            call_command("qos_rule", "local", *wrong, stdout=io.StringIO())
    with pytest.raises(CommandError, match="no cluster"):
        call_command("qos_rule", "none", "cpu", "--hours=12", "--jobs=4", "--queued=20", "--cpus=16")
    assert QosRule.objects.count() == 1


@pytest.fixture
def cluster(db: None) -> Cluster:
    return Cluster.objects.create(name="local", title="Thử", created_at=now())
