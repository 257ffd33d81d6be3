from celery import shared_task
from django.core.mail import send_mail

from portal.outbox import services
from portal.outbox.models import Message
from portal.outbox.registry import handler


@shared_task
def relay(queue: str = "default") -> int:
    """Delivers what is due in a queue. Beat asks for it every few seconds; a commit that wrote a message asks at
    once.
    """
    services.woken(queue)
    return services.messages_deliver(queue=queue)


@handler("mail.send")
def mail_send(message: Message) -> None:
    """A mail that its writer has put into words already, in its reader's language."""
    payload = message.payload
    send_mail(" ".join(payload["subject"].split()), payload["body"], None, payload["to"])
