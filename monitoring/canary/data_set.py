"""The demo's data set: a small real folder that the set-up made, offered to everyone through the services."""

from pathlib import Path

from django.conf import settings

from portal.clock import centre_date, now
from portal.people.models import User
from scheduler.clusters.models import Cluster
from scheduler.datasets.models import DataSet
from scheduler.datasets.services import Described, data_set_create, data_set_offer

SLUG = "van-ban-mau"  # the set-up calls folder and group by it


def data_set_ensure(*, operator: User) -> None:
    """Made on the first call; not where the set-up made no folder."""
    folder = Path(settings.STACK_DIR, "state", "data", SLUG).resolve()
    if not folder.is_dir() or DataSet.objects.filter(slug=SLUG).exists():
        return
    files = [path for path in folder.iterdir() if path.is_file()]
    made = data_set_create(
        slug=SLUG,
        cluster=Cluster.objects.get(name=settings.CLUSTERS[0]),
        described=Described(
            name="Văn bản tiếng Việt mẫu",
            path=str(folder),
            description="Sáu câu đầu Truyện Kiều, mỗi dòng một đối tượng JSON. Đủ để thử bộ dữ liệu trong một tác vụ.",
            size_bytes=sum(path.stat().st_size for path in files),
            file_count=len(files),
            licence_name="Phạm vi công cộng",
            licence_url="",
            version="1",
            released_on=centre_date(now()),
            audience=DataSet.Audience.EVERYONE,
        ),
        actor=operator,
    )
    data_set_offer(data_set=made, actor=operator)
