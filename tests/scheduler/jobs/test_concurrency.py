"""Many at once, on a real PostgreSQL: no interleaving overdraws a balance or makes two jobs of one form."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import uuid4

import pytest
from django.db import connections

from portal.outbox.models import Message
from quotas.ledger.models import Transfer
from quotas.ledger.selectors import balances
from scheduler.jobs.errors import JobRefused
from scheduler.jobs.models import Job, Run
from tests.quotas.makers import HOUR, award, balance, programme
from tests.scheduler.jobs.makers import submit


def at_once(count, call):
    """Calls `call(0)` … `call(count - 1)` in as many threads that start together; returns the answers in order."""
    together = Barrier(count)

    def one(number):
        try:
            together.wait(timeout=30)
            return call(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


@pytest.mark.django_db(transaction=True)
def test_forty_at_once_against_a_balance_for_ten(submitter, project, cluster):
    hold = 2 * (HOUR + cluster.overshoot_s)
    allocation = award(project, programme(), gpu_seconds=10 * hold + hold - 1)

    def attempt(number):
        try:
            return submit(submitter, allocation, name=f"train {number}", form_key=uuid4()).state
        except JobRefused as refused:
            return refused.problems[0].code

    outcomes = Counter(at_once(40, attempt))
    assert outcomes == {"queued": 10, "balance": 30}
    assert Job.objects.count() == Run.objects.count() == Message.objects.filter(topic="jobs.submit").count() == 10
    assert Transfer.objects.filter(kind=Transfer.Kind.HOLD).count() == 10
    after = balance(allocation)
    assert (after.held, after.free) == (10 * hold, hold - 1)
    assert balances([allocation.account_id])[allocation.account_id].free == hold - 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("balance_for", [1, 20])
def test_ten_clicks_on_one_form_are_one_job(submitter, project, cluster, balance_for):
    hold = 2 * (HOUR + cluster.overshoot_s)
    allocation = award(project, programme(), gpu_seconds=balance_for * hold)
    key = uuid4()
    jobs = at_once(10, lambda number: submit(submitter, allocation, form_key=key).pk)
    assert len(set(jobs)) == 1
    assert balance(allocation).held == hold
