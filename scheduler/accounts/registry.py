"""What the accounts must know of settlement, which stands above them and registers it."""

from collections.abc import Callable, Mapping

from scheduler.clusters.models import Cluster


class Suspended:
    """GPU-seconds by QOS that slurmctld's counter has and the ledger has not: finished jobs' suspended time."""

    by_qos: Callable[[Cluster], Mapping[str, int]] = staticmethod(lambda cluster: {})


suspended = Suspended()
