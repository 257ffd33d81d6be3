"""Every adapter against a live Slurm: one suite, run once for each.

`commands` against the test stack's; with SLURM_PREFIX both adapters against a Slurm of the suite's own, of that prefix.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.scheduler.clusters.contract.ground import Ground, ground_made
from tests.scheduler.clusters.contract.worker import pyslurm_worker
from tests.scheduler.live import RUBBISH, LiveSlurm
from tests.scheduler.own_slurm import OwnSlurm, own_slurm

PREFIX = os.environ.get("SLURM_PREFIX")
ADAPTERS = ["commands", "pyslurm"] if PREFIX else ["commands"]
collect_ignore = [] if PREFIX else ["test_equal.py"]  # needs both


@pytest.fixture(scope="session")
def own() -> Iterator[OwnSlurm]:
    with own_slurm() as slurm:
        yield slurm


@pytest.fixture(scope="session")
def slurm(request: pytest.FixtureRequest) -> LiveSlurm:
    return request.getfixturevalue("own").live() if PREFIX else LiveSlurm()


@pytest.fixture(scope="module", params=ADAPTERS)
def ground(request: pytest.FixtureRequest, slurm: LiveSlurm) -> Iterator[Ground]:
    with ExitStack() as stack:
        adapter = stack.enter_context(pyslurm_worker(slurm)) if request.param == "pyslurm" else slurm.adapter()
        made = stack.enter_context(ground_made(slurm, adapter))
        yield made
    if not PREFIX:
        RUBBISH.accounts |= {made.organisation, made.project}
        RUBBISH.qos |= {made.h100, made.h200}
