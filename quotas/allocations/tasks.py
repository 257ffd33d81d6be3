from celery import shared_task

from portal.clock import now
from portal.outbox.models import Message
from portal.outbox.registry import handler
from quotas.allocations import mails, services
from quotas.allocations.services.closeout import close_outs_open
from quotas.allocations.services.warnings import warnings_write
from quotas.ledger.services import verification_run

ACTOR = "worker:default"


@shared_task
def expire_ended() -> int:
    """Ends what is past its last day. Beat asks every few minutes; a day in the centre begins when it does there."""
    return services.ended_expire(actor=ACTOR)


@shared_task
def vouchers_follow() -> int:
    """What a day of the centre brings: tranches, clawbacks, close-outs, warnings. Again: nothing."""
    done = services.tranches_due_release(actor=ACTOR) + services.clawbacks_due(actor=ACTOR) + close_outs_open()
    return done + warnings_write()


@shared_task
def ledger_verify() -> bool:
    """Adds the whole ledger up anew and leaves the result for /metrics, where an alert waits for it."""
    return verification_run(at=now()).ok


@handler("vouchers.tell")
def voucher_tell(message: Message) -> None:
    """A mail about a voucher, in its reader's language."""
    mails.voucher_mail(message.payload)
