"""A voucher's verbs as a person plays them in a browser, and what others do with what was asked for."""

from typing import Any

from django.conf import settings
from django.core import mail
from django.test import Client
from django.urls import reverse

from portal.people.models import User
from quotas.allocations.models import Voucher, Withdrawal
from quotas.allocations.services import withdrawal_confirm
from quotas.proposals.models import Proposal
from quotas.proposals.services import proposal_approve
from tests.quotas.makers import NOON


def english(client: Client) -> Client:
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    return client


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def asked(client: Client, voucher: Voucher, name: str, **given: object) -> str:
    """What the page says will happen."""
    response = client.post(reverse("vouchers:verb", args=[voucher.number, name]), given)
    assert response.status_code == 200, text(response)
    return text(response)


def done(client: Client, voucher: Voucher, name: str, **given: object) -> None:
    response = client.post(reverse("vouchers:verb", args=[voucher.number, name]), {**given, "confirmed": "1"})
    assert response.status_code == 302, text(response)


def refused(client: Client, voucher: Voucher, name: str, **given: object) -> str:
    response = client.post(reverse("vouchers:verb", args=[voucher.number, name]), {**given, "confirmed": "1"})
    assert response.status_code == 422, text(response)
    return text(response)


def confirm_all() -> None:
    """What scheduler does once the lower limits were read back from Slurm."""
    for row in Withdrawal.objects.filter(state="requested"):
        withdrawal_confirm(withdrawal_id=row.pk, event_at=NOON, actor="test")


def mails_to(person: User) -> list[str]:
    return [one.subject for one in mail.outbox if one.to == [person.email]]


def approved(person: User) -> None:
    for proposal in Proposal.objects.filter(state="waiting"):
        proposal_approve(proposal=proposal, person=person)
