"""What the portal's things are called in Slurm. Organisations and projects share one space of slugs."""

from scheduler.clusters.models import Cluster


def account_name(cluster: Cluster, slug: str) -> str:
    """The Slurm account of an organisation or a project."""
    return f"{cluster.account_prefix}{slug}"


def cpu_qos(cluster: Cluster) -> str:
    """The QOS under which everybody prepares data on the cluster's CPU partitions."""
    return f"{cluster.account_prefix}cpu"
