"""What the accounts must know of settlement, which stands above them and registers it."""

from collections.abc import Callable, Mapping

from scheduler.clusters.models import Cluster


class Uncharged:
    """GPU-seconds by QOS that slurmctld's counter has and the ledger has not: finished jobs' suspended time, and what a
    slice of a GPU is less than the whole."""

    by_qos: Callable[[Cluster], Mapping[str, int]] = staticmethod(lambda cluster: {})


uncharged = Uncharged()
