"""Which researchers' unix accounts exist on a cluster: looked up by its worker, kept for the web's preflight."""

from datetime import timedelta

from portal.clock import now
from portal.people.models import User
from scheduler.clusters.adapters.protocol import ClusterAdapter
from scheduler.clusters.models import Cluster
from scheduler.jobs.models import UnixAccountSeen

LOOK_AGAIN_AFTER_S = 300
MOST_AT_ONCE = 200  # a cycle stays short; with 50,000 people the rest comes in the cycles after


def unix_accounts_look(*, cluster: Cluster, adapter: ClusterAdapter) -> int:
    """Looks up accounts never looked up before, then those of the longest ago; returns how many."""
    moment = now()
    seen = UnixAccountSeen.objects.filter(cluster=cluster)
    people = User.objects.filter(
        unix_account__isnull=False, project_memberships__project__allocations__cluster=cluster.name
    )
    fresh = people.exclude(unix_account__in=seen.values("name")).distinct().order_by("pk")
    names = list(fresh.values_list("unix_account", flat=True)[:MOST_AT_ONCE])
    stale = seen.filter(checked_at__lt=moment - timedelta(seconds=LOOK_AGAIN_AFTER_S)).order_by("checked_at")
    names += stale.values_list("name", flat=True)[: MOST_AT_ONCE - len(names)]
    rows = [
        UnixAccountSeen(cluster=cluster, name=name, exists=adapter.unix_account_exists(name), checked_at=moment)
        for name in names
        if name
    ]
    UnixAccountSeen.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["cluster", "name"], update_fields=["exists", "checked_at"]
    )
    return len(rows)
