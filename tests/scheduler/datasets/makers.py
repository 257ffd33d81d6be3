"""Explicit makers for data sets, through the services."""

from typing import Any

from scheduler.clusters.models import Cluster
from scheduler.datasets.models import DataSet, Reading
from scheduler.datasets.services import Described, data_set_create, data_set_offer

DESCRIBED: dict[str, Any] = {
    "name": "Báo tiếng Việt 2025",
    "path": "/data/bao-tieng-viet/2025.1",
    "description": "Bài báo đã lọc trùng.\n\nMột dòng một bài.",
    "size_bytes": 3 * 2**40,
    "file_count": 12_000,
    "licence_name": "CC BY 4.0",
    "licence_url": "https://creativecommons.example/by/4.0/",
    "version": "2025.1",
    "released_on": None,
    "audience": DataSet.Audience.EVERYONE,
}


def described(**changes: Any) -> Described:
    return Described(**(DESCRIBED | changes))


def named(*, organisations: Any = (), projects: Any = ()) -> dict[str, Any]:
    return {"audience": DataSet.Audience.NAMED, "organisations": organisations, "projects": projects}


def draft(cluster: Cluster, slug: str = "bao-2025", **changes: Any) -> DataSet:
    return data_set_create(slug=slug, cluster=cluster, described=described(**changes), actor="test")


def offered(cluster: Cluster, slug: str = "bao-2025", *, members: tuple[str, ...] = (), **changes: Any) -> DataSet:
    """`members`: unix accounts that the worker has read back from its group."""
    made = data_set_offer(data_set=draft(cluster, slug, **changes), actor="test")
    if members:
        Reading.objects.create(data_set=made, members=sorted(members), folder=Reading.Folder.FINE)
    return made
