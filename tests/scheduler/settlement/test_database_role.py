"""The worker's own database role may do all that settlement does, and no more than the ledger allows."""

from collections.abc import Iterator

import pytest
from django.db import connection

from scheduler.settlement.services import outside_cover, reconcile, settle, waiting_follow

pytestmark = pytest.mark.django_db


@pytest.fixture
def as_worker(allocation, portal_job) -> Iterator[None]:
    """From here on the statements are the worker's; what a test needs was made by the owner before."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'saola_worker')")
        if not cursor.fetchone()[0]:
            pytest.skip("this server has no role saola_worker: run against the test stack")
        cursor.execute("SET ROLE saola_worker")
        try:
            yield
        finally:
            cursor.execute("RESET ROLE")


def test_a_cycles_work_needs_no_other_rights(cluster, slurm, portal_job, record_of, queued_as, request):
    portal_job(1)
    request.getfixturevalue("as_worker")
    slurm.jobs = [queued_as(2), queued_as(1, state="PENDING", start_at=None)]
    outside_cover(cluster=cluster, queue=slurm.queue())
    slurm.accounting = [record_of(1), record_of(2, state="REQUEUED")]
    assert settle(cluster=cluster, records=slurm.accounting, queue=slurm.queue()).charged == 2
    slurm.accounting[0] = record_of(1, elapsed_s=59)
    assert settle(cluster=cluster, records=slurm.accounting).corrected == 1
    waiting_follow(cluster=cluster, adapter=slurm, queue=slurm.queue())
    assert reconcile(cluster=cluster, adapter=slurm).residual_gpu_seconds == 0


@pytest.mark.stack
def test_the_stacks_own_database_gives_it_temporary_tables(db):
    with connection.cursor() as cursor:
        cursor.execute("SELECT has_database_privilege('saola_worker', 'saola', 'TEMPORARY')")
        assert cursor.fetchone()[0]
