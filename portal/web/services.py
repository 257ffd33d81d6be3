from portal.clock import now
from portal.web.models import Heartbeat


def heartbeat_record(*, queue: str) -> None:
    Heartbeat.objects.update_or_create(queue=queue, defaults={"seen_at": now()})
