"""The worker's cycle on the test stack's real Slurm, for a place in it (tests/scheduler/jobs/real.py); no plan."""

import time
from collections.abc import Callable

from portal.outbox.models import Message
from portal.outbox.services import messages_deliver
from scheduler.clusters.services import snapshot_take
from scheduler.jobs.worker.cycle import jobs_cycle
from scheduler.settlement.services import outside_cover, records_settle, waiting_follow
from tests.scheduler.jobs.real import Real

QUEUE = "cluster.local"


def deliver(real: Real) -> None:
    """Everything in the cluster's queue, also what is only due in a moment."""
    Message.objects.filter(queue=QUEUE, delivered_at=None).update(due_at=real.cluster.created_at)
    messages_deliver(queue=QUEUE)


def turn(real: Real) -> None:
    look = snapshot_take(cluster=real.cluster, adapter=real.adapter)
    deliver(real)
    jobs_cycle("local", look.queue, look.status, adapter=real.adapter)
    outside_cover(cluster=real.cluster, queue=look.queue)
    done = records_settle(cluster=real.cluster, adapter=real.adapter, look=look)
    assert not done.failed
    waiting_follow(cluster=real.cluster, adapter=real.adapter, queue=look.queue)


def turn_until(real: Real, reached: Callable[[], bool], *, within_s: float = 180) -> None:
    deadline = time.monotonic() + within_s
    turn(real)
    while not reached():
        lines = [(line.job_id, line.state, line.reason) for line in real.adapter.queue()]
        assert time.monotonic() < deadline, lines
        time.sleep(0.5)
        turn(real)
