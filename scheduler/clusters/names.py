"""What the portal's things are called in Slurm. Organisations and projects share one space of slugs."""

from scheduler.clusters.models import Cluster


def account_name(cluster: Cluster, slug: str) -> str:
    """The Slurm account of an organisation or a project."""
    return f"{cluster.account_prefix}{slug}"
