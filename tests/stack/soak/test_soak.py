"""Short real jobs of twenty people while everything that can die does: nothing is lost, doubled, held or miscounted.

Two hundred jobs and a few faults of every sort; with SOAK=1 two thousand, and every fault several times. What happens
when is drawn with a seed, which is printed; SOAK_SEED draws another, SOAK_JOBS says how many jobs.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from threading import Event

import pytest
from django.db import connections
from pytest_django.plugin import DjangoDbBlocker

from portal.clock import now
from scheduler.jobs.models import Job
from tests.stack.conftest import Stack, wait_for
from tests.stack.operating import Operator
from tests.stack.soak import promises
from tests.stack.soak.attending import Attendant
from tests.stack.soak.crowd import PEOPLE, crowd, projects, stack_database
from tests.stack.soak.faults import faults, some
from tests.stack.soak.wishes import Wish, wishes

SOAK = "SOAK" in os.environ
pytestmark = [pytest.mark.stack, pytest.mark.fault]
JOBS = int(os.environ.get("SOAK_JOBS", 2_000 if SOAK else 200))
SEED = int(os.environ.get("SOAK_SEED") or (time.time_ns() % 1_000_000 if SOAK else 14))
APART_S = (2.0, 8.0) if SOAK else (1.0, 3.0)  # from one fault to the next
HANDS = 4  # submitting side by side
# sacctmgr closes no record of a number that slurmctld gave away again before it forgets that job (MinJobAge, 300 s).
ENDS_WITHIN_S = 900 if SOAK else 480
OPERATOR_LOOKS_S = 30


@pytest.fixture(scope="module")
def _database(stack: Stack, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with stack_database(django_db_blocker):
        yield


def submit_all(attendant: Attendant, wanted: list[Wish], hand: int) -> None:
    """What a part of the people want, one after another."""
    for wish in wanted:
        if wish.person % HANDS == hand:
            while not attendant.may_submit.wait(60):
                pass
            attendant.sent[attendant.members[wish.person].send(wish)] = (wish, now())


def strike(chance: random.Random, hands: list[Future[None]]) -> Counter[str]:
    """One fault after another: a few of every sort, or all of them again and again until every job was submitted."""
    known, hit = faults(), Counter[str]()
    while True:
        for name in chance.sample(list(known), len(known)) if SOAK else some(chance):
            time.sleep(chance.uniform(*APART_S))
            hit[name] += known[name]()
        if not SOAK or all(hand.done() for hand in hands):
            return hit


def all_submitted(attendant: Attendant, wanted: list[Wish], chance: random.Random) -> Counter[str]:
    """The jobs sent, and asked for what their people want, under the faults, up to the end of the last one."""
    ended = Event()
    with ThreadPoolExecutor(HANDS + 1) as pool:
        attending = pool.submit(attendant.attend, ended)
        try:
            hands = [pool.submit(submit_all, attendant, wanted, hand) for hand in range(HANDS)]
            hit = strike(chance, hands)
            for hand in hands:
                hand.result()
            connections.close_all()  # PostgreSQL has been killed since
            hit["records closed by an operator"] = end_awaited(attendant)
            hit["nodes resumed by an operator"] = attendant.operator.resumed
            hit["jobs released by an operator"] = attendant.operator.released
        finally:
            attendant.may_submit.set()
            ended.set()
        attending.result()
    return hit


def end_awaited(attendant: Attendant) -> int:
    """Until nothing is open. What slurmctld forgot in a crash an operator closes; returns how many that were."""
    deadline, closed, closing_at = time.monotonic() + ENDS_WITHIN_S, 0, time.monotonic() + OPERATOR_LOOKS_S
    while left := promises.open_still(attendant.sent):
        assert time.monotonic() < deadline, "\n".join(left)
        forgotten = Job.objects.filter(pk__in=list(attendant.sent), reason__startswith=promises.RUNAWAY)
        if time.monotonic() > closing_at and forgotten.exists():
            closed += promises.runaways_close()
            closing_at = time.monotonic() + OPERATOR_LOOKS_S
        time.sleep(1)
    return closed


@pytest.mark.usefixtures("_database")
def test_nothing_is_lost_doubled_or_held(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled() if SOAK else nullcontext():
        print(f"SOAK_SEED={SEED} SOAK_JOBS={JOBS}", flush=True)
        for line in soaked(stack):
            print(line, flush=True)


def soaked(stack: Stack) -> Iterator[str]:
    chance = random.Random(SEED)
    places = projects()
    with crowd(stack.demo["url"]) as members:
        attendant = Attendant(members, Operator.of_stack(stack.demo["url"]))
        assert wait_for(promises.is_applied, 180, 1), "the plan of the people and their projects"
        began_at = now().replace(microsecond=0)
        hit = all_submitted(attendant, wishes(JOBS, PEOPLE, chance), chance)
    took_s = (now() - began_at).total_seconds()
    tried_again = Job.objects.filter(pk__in=list(attendant.sent), attempts__gt=1).count()
    yield f"{JOBS} jobs in {took_s:.0f} s, {tried_again} submitted again; verbs: {attendant.orders()}"
    yield f"faults: {dict(sorted(hit.items()))}"
    found = promises.books_agree(stack)
    yield f"reconciled: {found['records']} records, residual {found['residual_gpu_seconds']}"
    otherwise = promises.nobody_is_lost_or_doubled(attendant.sent, places, began_at)
    yield f"ended otherwise than wished, as slurmdbd has it: {dict(otherwise)}"
    promises.nothing_is_held(places)
    yield f"counter gaps: {promises.counters_are_right(places)}"
