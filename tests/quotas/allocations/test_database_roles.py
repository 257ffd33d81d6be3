"""Web and workers do not own the tables. The whole life of an allocation needs no right that they lack."""

import pytest
from django.db import connection

from portal.people.models import Project
from quotas.allocations.services import (
    allocation_expire,
    allocation_suspend,
    refund_book,
    withdrawal_confirm,
    withdrawal_request,
)
from quotas.programmes.models import Programme
from tests.quotas.makers import HOUR, NOON, award, balance, charge, hold, limit, named

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("role", ["saola_web", "saola_worker"])
def test_an_allocation_lives_with_the_rights_of_a_process(project: Project, programme: Programme, role: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_roles WHERE rolname = %s", [role])
        if cursor.fetchone() == (0,):
            pytest.skip("this server is a developer's own: it has no roles")
        cursor.execute(f"SET LOCAL ROLE {role}")
    allocation = award(project, programme)
    charge(allocation, "1", 2 * HOUR, hold_id=hold(allocation, "1", HOUR))
    refund_book(
        allocation_id=allocation.pk,
        record_charge_id=named("charge 1"),
        refund_id=named("refund"),
        amount_gpu_seconds=HOUR,
        event_at=NOON,
        reason="node failed",
        actor="test",
    )
    [row] = withdrawal_request(
        allocation_id=allocation.pk,
        kind="clawback",
        amount_gpu_seconds=HOUR,
        reason="x",
        event_at=NOON,
        actor="test",
    )
    withdrawal_confirm(withdrawal_id=row.pk, event_at=NOON, actor="test")
    allocation_suspend(allocation_id=allocation.pk, reason="audit", actor="test")
    allocation_expire(allocation_id=allocation.pk, actor="test")
    after = balance(allocation)
    assert (after.consumed, after.expired, after.free) == (HOUR, HOUR, 0)
    assert limit(allocation) == 2 * HOUR
