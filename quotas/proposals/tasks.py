from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from portal.outbox.models import Message
from portal.outbox.registry import handler
from quotas.proposals.kinds import kind_of
from quotas.proposals.models import Proposal


@handler("proposals.carried_out")
def carried_out_send(message: Message) -> None:
    """Tells the proposer who approved it, in the proposer's language."""
    _send(message, "proposals/mail/carried_out.txt")


@handler("proposals.sent_back")
def sent_back_send(message: Message) -> None:
    """Tells the proposer who sent it back and why."""
    _send(message, "proposals/mail/sent_back.txt")


def _send(message: Message, template: str) -> None:
    proposal = Proposal.objects.select_related("proposed_by", "sent_back_by").get(pk=message.payload["proposal"])
    proposer = proposal.proposed_by
    if proposer is None:
        return
    with translation.override(proposer.language):
        kind = kind_of(proposal)
        about = kind.summary(proposal) or str(kind.label)
        if proposal.state == Proposal.State.CARRIED_OUT:
            subject = _("Carried out: %(about)s") % {"about": about}
        else:
            subject = _("Sent back: %(about)s") % {"about": about}
        context = {
            "proposal": proposal,
            "proposer": proposer,
            "kind": kind,
            "about": about,
            "approvers": [approval.approver for approval in proposal.approvals.select_related("approver")],
            "address": settings.SITE_URL.rstrip("/") + reverse("proposals:detail", args=[proposal.pk]),
        }
        send_mail(" ".join(subject.split()), render_to_string(template, context), None, [proposer.email])
