"""Balance that moves between two clusters, as their workers carry it; quotas.allocations.services.moves has the rules.

What is written to Slurm is what the plan says, and the plan follows the ledger: a worker that died anywhere finds what
is left to do in the next plan. The messages only make that soon.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from portal.clock import now
from quotas.allocations.errors import WrongState
from quotas.allocations.models import Withdrawal
from quotas.allocations.selectors import moves_arriving
from quotas.allocations.services import move_arrive, move_raised
from scheduler.accounts.limits import Limit
from scheduler.clusters import faults
from scheduler.clusters.adapters.protocol import ClusterAdapter, QosUsage
from scheduler.clusters.models import Cluster

logger = logging.getLogger(__name__)
State = Withdrawal.State


@dataclass(frozen=True, slots=True)
class Arrival:
    """Taken in; its higher limit is to be read back."""

    move: UUID
    qos: str


def moves_take_in(cluster: Cluster, slurm: ClusterAdapter) -> list[Arrival]:
    """The second half of every move to this cluster, before its limits are reckoned: book first, then raise.

    Slurm is asked first whether it is there: what would lie in a cluster that nobody can use can still go back. Raises
    ClusterError.
    """
    rows = moves_arriving(cluster.name)
    if any(row.state == State.MOVING for row in rows):
        slurm.controller_status()
    arrived = []
    for row in rows:
        assert row.target is not None
        try:
            move_arrive(withdrawal_id=row.pk, event_at=now(), actor=f"worker:cluster.{cluster.name}")
        except WrongState:  # taken back a moment ago
            logger.info("%s: move %s was taken back", cluster.name, row.pk)
            continue
        arrived.append(Arrival(row.pk, row.target.qos))
    if arrived:
        faults.reach("move_arrived")
    return arrived


def moves_read_back(arrived: Sequence[Arrival], limits: Mapping[str, Limit], usage: Mapping[str, QosUsage]) -> None:
    """Those whose higher limit slurmctld holds are at their end; the others come again with the next plan."""
    for row in arrived:
        found = usage.get(row.qos)
        if row.qos in limits and found is not None and found.limit_minutes == limits[row.qos].minutes:
            faults.reach("move_raised")
            move_raised(withdrawal_id=row.move)
