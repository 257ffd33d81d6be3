from monitoring.attribution.models import Exporter
from tests.scheduler.jobs import url_roles as jobs
from tests.scheduler.jobs.url_roles import SEES
from tests.urls.roles import Row, World


def prepare(world: World) -> None:
    jobs.prepare(world)
    Exporter.objects.create(cluster=world.job.cluster, node="gpu001")


ROWS = [Row("gpus:job", 404, args=lambda world: [world.job.pk], **SEES)]
