"""The queue of what waits for a second person, and a proposal's page, as each person sees them."""

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from portal.people.models import Organisation, User
from quotas.proposals.models import Conflict, Proposal
from quotas.proposals.services import conflict_declare, proposal_approve, proposal_send_back
from tests import factories
from tests.counting import QUERIES_MOST, queries_of
from tests.quotas.proposals.conftest import Done, Make

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], Client]


def page_of(client_of: ClientOf, person: User, name: str, *args: object) -> str:
    client = client_of(person)
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    return str(client.get(reverse(name, args=args)).content.decode())


def sent(client_of: ClientOf, person: User, name: str, proposal: Proposal, **data: str) -> Any:
    client = client_of(person)
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    return client.post(reverse(name, args=[proposal.pk]), data, follow=True)


def test_the_queue_says_whom_each_proposal_waits_for(
    client_of: ClientOf,
    make: Make,
    organisation: Organisation,
    operator: User,
    second_operator: User,
    approver: User,
    auditor: User,
) -> None:
    proposal = make(approvals_needed=2, organisation=organisation)
    factories.member(second_operator, organisation)
    proposal_approve(proposal=proposal, person=approver)
    third = factories.person("ba@centre.example", "Ba", centre_roles=("approver",))  # type: ignore[arg-type]
    for person, words in (
        (operator, "Another person: you proposed"),
        (second_operator, "Others: you have an interest"),
        (approver, "Another person: you approved"),
        (third, "You can approve it"),
        (auditor, "Another person"),
    ):
        page = page_of(client_of, person, "proposals:list")
        assert words in page
        assert "amount 7" in page
        assert "1/2" in page


def test_another_person_approves_on_the_page(client_of: ClientOf, make: Make, done: Done, approver: User) -> None:
    proposal = make()
    assert "Approve this proposal?" in page_of(client_of, approver, "proposals:detail", proposal.pk)
    page = sent(client_of, approver, "proposals:approve", proposal).content.decode()
    assert "Approved and carried out." in page
    assert "Approve this proposal?" not in page
    assert done == [proposal]
    assert "amount 7" in page_of(client_of, approver, "proposals:history")
    assert "amount 7" not in page_of(client_of, approver, "proposals:list")


def test_the_proposer_is_told_that_another_person_must_approve(
    client_of: ClientOf, make: Make, done: Done, operator: User
) -> None:
    proposal = make()
    page = page_of(client_of, operator, "proposals:detail", proposal.pk)
    assert "Approve this proposal?" not in page
    assert "Take it back" in page
    # Whoever sends the form all the same is told by the database's own rule.
    page = sent(client_of, operator, "proposals:approve", proposal).content.decode()
    assert "You proposed this yourself." in page
    assert done == []


def test_what_cannot_be_carried_out_says_why(client_of: ClientOf, make: Make, done: Done, approver: User) -> None:
    proposal = make()
    done.refuses = True
    page = sent(client_of, approver, "proposals:approve", proposal).content.decode()
    assert "the budget is too small" in page
    assert "Waits for 1 more person" in page


def test_sending_back_needs_a_reason(client_of: ClientOf, make: Make, operator: User, approver: User) -> None:
    proposal = make()
    assert sent(client_of, approver, "proposals:send_back", proposal, reason=" ").status_code == 422
    page = sent(client_of, approver, "proposals:send_back", proposal, reason="Sai số tiền").content.decode()
    assert "Sai số tiền" in page
    assert "sent it back" in page
    own = make()
    sent(client_of, operator, "proposals:send_back", own, reason="Nhầm")
    own.refresh_from_db()
    assert own.state == "sent_back"


def test_deciding_what_was_decided_in_the_meantime_says_so(
    client_of: ClientOf, make: Make, approver: User, second_operator: User
) -> None:
    proposal = make()
    proposal_send_back(proposal=proposal, person=second_operator, reason="x")
    page = sent(client_of, approver, "proposals:approve", proposal).content.decode()
    assert "the proposal is now “Sent back”" in page


def test_lists_of_thirty_cost_as_many_queries_as_those_of_three(
    client_of: ClientOf, make: Make, organisation: Organisation, auditor: User, approver: User
) -> None:
    client = client_of(auditor)

    def queries_with(count: int, name: str) -> int:
        while Proposal.objects.filter(state="waiting").count() < count:
            make(organisation=organisation)
            proposal_send_back(proposal=make(), person=approver, reason="x")
        assert client.get(reverse(name)).content.decode().count("amount 7") == count
        return queries_of(client, reverse(name))

    names = ("proposals:list", "proposals:history")
    few = [queries_with(3, name) for name in names]
    assert [queries_with(30, name) for name in names] == few
    assert max(few) <= QUERIES_MOST


def test_the_card_on_the_home_page_shows_what_waits(client_of: ClientOf, make: Make, approver: User) -> None:
    assert reverse("proposals:card") in page_of(client_of, approver, "web:home")
    assert "Nothing waits for a second person" in page_of(client_of, approver, "proposals:card")
    make()
    assert "amount 7" in page_of(client_of, approver, "proposals:card")


# --- interests --------------------------------------------------------------------------------------------------------


def test_a_reviewer_declares_an_own_interest_and_sees_only_that(
    client_of: ClientOf, organisation: Organisation, reviewer: User, operator: User
) -> None:
    client, url = client_of(reviewer), reverse("proposals:conflicts")
    client.post(url, {"organisation": organisation.pk, "reason": "Đồng tác giả", "email": operator.email})
    conflict = Conflict.objects.get()
    assert (conflict.person, conflict.declared_by) == (reviewer, reviewer)
    client_of(operator).post(url, {"organisation": organisation.pk, "reason": "Chồng", "email": "AN@centre.example"})
    assert "Chồng" not in client.get(url).content.decode()
    assert "Đồng tác giả" in client_of(operator).get(url).content.decode()


def test_who_decides_names_and_lifts_the_interest_of_others(
    client_of: ClientOf, organisation: Organisation, reviewer: User, operator: User
) -> None:
    client, url = client_of(operator), reverse("proposals:conflicts")
    given = {"organisation": organisation.pk, "reason": "Đồng tác giả"}
    assert client.post(url, {**given, "email": "nobody@nowhere.example"}).status_code == 422
    client.post(url, {**given, "email": reviewer.email})
    conflict = Conflict.objects.get()
    assert (conflict.person, conflict.declared_by) == (reviewer, operator)
    client.post(reverse("proposals:conflict_lift", args=[conflict.pk]))
    assert not Conflict.objects.exists()
    client.post(url, given)
    own = Conflict.objects.get()
    client.post(reverse("proposals:conflict_lift", args=[own.pk]))
    assert Conflict.objects.exists()  # nobody lifts an own interest


def test_the_declared_interests_cost_the_same_whatever_their_number(client_of: ClientOf, operator: User) -> None:
    client, address = client_of(operator), reverse("proposals:conflicts")

    def queries_with(count: int) -> int:
        for number in range(Conflict.objects.count(), count):
            organisation = factories.organisation(f"Organisation {number}", f"organisation-{number}")
            person = factories.person(f"p{number}@elsewhere.example", f"Person {number}")
            conflict_declare(person=person, organisation=organisation, reason="x", declared_by=operator)
        return queries_of(client, address)

    assert queries_with(3) == queries_with(30) <= QUERIES_MOST
