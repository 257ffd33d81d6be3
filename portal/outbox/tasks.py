from celery import shared_task

from portal.outbox import services


@shared_task
def relay(queue: str = "default") -> int:
    """Delivers what is due in a queue. Beat asks for it every few seconds; a commit that wrote a message asks at
    once.
    """
    services.woken(queue)
    return services.messages_deliver(queue=queue)
