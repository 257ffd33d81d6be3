"""The real Slurm of the test stack, with accounts of this test's own."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import time_machine

from scheduler.clusters.services import cluster_register
from tests.scheduler.accounts.conftest import leave_behind, rubbish  # noqa: F401  what is made in Slurm goes again
from tests.scheduler.live import LiveSlurm, own_name
from tests.year import cast
from tests.year.world import SOAK, Year

ORGANISATIONS = 40 if SOAK else len(cast.STORIES)


@pytest.fixture
def year(db: None) -> Iterator[Year]:
    slurm, dice = LiveSlurm(), random.Random(2027)
    plans = [*cast.STORIES, *cast.crowd(ORGANISATIONS - len(cast.STORIES), dice)]
    with time_machine.travel(datetime(2027, 1, 1, 1, 0, tzinfo=UTC)):
        cluster = cluster_register(name="local", title="Cụm thử", account_prefix=own_name("")[:10])
        # One researcher has an account on the cluster, and runs a job there; the others are names on records.
        accounts = [slurm.researchers[-1], *(f"y{number:03d}" for number in range(1, len(plans)))]
        players = {
            plan.slug: cast.player_of(plan, unix_account=name) for plan, name in zip(plans, accounts, strict=True)
        }
        centre = cast.centre_people()
    yield Year(slurm, slurm.adapter(), cluster, dice, centre, players)
    leave_behind(cluster, slurm)
