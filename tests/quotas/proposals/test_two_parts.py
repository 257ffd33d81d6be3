"""No person plays two parts of one proposal, and nobody who is bound to the organisation plays any: whatever the order
in which roles, memberships and interests come and go between the parts."""

import os

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal.people.models import CentreRole, Membership, Organisation, ProjectMembership, User
from portal.people.services import (
    centre_role_grant,
    centre_role_revoke,
    membership_add,
    membership_remove,
    project_member_add,
)
from quotas.proposals.errors import ProposalError
from quotas.proposals.models import Approval, Conflict, Proposal
from quotas.proposals.rules import has_conflict
from quotas.proposals.services import (
    conflict_declare,
    conflict_lift,
    proposal_approve,
    proposal_make,
    proposal_send_back,
)
from tests import factories
from tests.quotas.proposals.conftest import Done

pytestmark = pytest.mark.django_db
PEOPLE = 4
SOAK = "SOAK" in os.environ
CHANGES = ["grant", "revoke", "join", "leave", "work", "declare", "lift", "propose", "send_back"]
STEPS = st.tuples(
    st.sampled_from(["approve"] * len(CHANGES) + CHANGES),  # half of them, so that most examples reach a decision
    st.integers(0, PEOPLE - 1),
    st.sampled_from([CentreRole.Role.OPERATOR, CentreRole.Role.APPROVER]),
    st.sampled_from([1, 2]),
)


class World:
    def __init__(self, done: Done) -> None:
        self.done = done
        self.organisation = factories.organisation("Sao Mai", "sao-mai")
        self.project = factories.project("Dự án", "du-an", of=self.organisation)
        self.chief = factories.person("chief@centre.example", "Chief", centre_roles=(CentreRole.Role.OPERATOR,))
        self.people = [factories.person(f"p{number}@centre.example", f"P {number}") for number in range(PEOPLE)]
        self.proposals: list[Proposal] = []

    def play(self, verb: str, number: int, role: str, needed: int) -> None:
        person = self.people[number]
        given = {"grant": [role], "revoke": [role], "propose": [needed]}.get(verb, [])
        try:
            with transaction.atomic():
                getattr(self, f"_{verb}")(person, *given)
        except ProposalError:
            pass
        self.check()

    def check(self) -> None:
        """The promise: what was carried out had as many different people as it needs, none of them bound."""
        for proposal in Proposal.objects.prefetch_related("approvals"):
            parts = [proposal.proposed_by_id, *(one.approver_id for one in proposal.approvals.all())]
            assert len(set(parts)) == len(parts)
            assert (proposal in self.done) == (proposal.state == "carried_out")
            if proposal.state == "carried_out":
                assert len(parts) == 1 + proposal.approvals_needed
        assert len(self.done) == len(set(self.done))

    def _grant(self, person: User, role: str) -> None:
        centre_role_grant(user=person, role=role)

    def _revoke(self, person: User, role: str) -> None:
        centre_role_revoke(user=person, role=role)

    def _join(self, person: User) -> None:
        membership_add(organisation=self.organisation, user=person, role=Membership.Role.MEMBER)

    def _leave(self, person: User) -> None:
        membership_remove(organisation=self.organisation, user=person, role=Membership.Role.MEMBER)

    def _work(self, person: User) -> None:
        self._join(person)
        project_member_add(project=self.project, user=person, role=ProjectMembership.Role.RESEARCHER)

    def _declare(self, person: User) -> None:
        conflict_declare(person=person, organisation=self.organisation, reason="x", declared_by=person)

    def _lift(self, person: User) -> None:
        for conflict in Conflict.objects.filter(person=person):
            conflict_lift(conflict=conflict, actor=self.chief)

    def _propose(self, person: User, needed: int) -> None:
        bound = has_conflict(person, self.organisation)
        made = proposal_make(
            kind="test",
            facts={"amount": 1},
            reason="x",
            person=person,
            organisation=self.organisation,
            approvals_needed=needed,
        )
        assert not bound
        self.proposals.append(made)

    def _approve(self, person: User) -> None:
        for proposal in self.proposals[-2:]:
            bound = has_conflict(person, self.organisation)
            try:
                with transaction.atomic():
                    after = proposal_approve(proposal=proposal, person=person)
            except ProposalError:
                continue
            assert not bound
            if after.state == "carried_out":
                parts = [after.proposed_by, *(one.approver for one in after.approvals.all())]
                assert not any(has_conflict(one, self.organisation) for one in parts if one is not None)

    def _send_back(self, person: User) -> None:
        if self.proposals:
            proposal_send_back(proposal=self.proposals[-1], person=person, reason="x")


@settings(
    max_examples=500 if SOAK else 20,
    derandomize=not SOAK,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    proposer=st.integers(0, PEOPLE - 1), needed=st.sampled_from([1, 2]), steps=st.lists(STEPS, min_size=4, max_size=12)
)
def test_no_person_plays_two_parts(
    done: Done, proposer: int, needed: int, steps: list[tuple[str, int, str, int]]
) -> None:
    with transaction.atomic():
        done.clear()
        world = World(done)
        for number in range(PEOPLE):
            world.play("grant", number, CentreRole.Role.OPERATOR, 0)
        world.play("propose", proposer, "", needed)
        for step in steps:
            world.play(*step)
        transaction.set_rollback(True)


@pytest.mark.parametrize("how", ["join", "work", "declare"])
def test_the_database_and_the_rule_mean_the_same_by_an_interest(
    done: Done, organisation: Organisation, how: str
) -> None:
    world = World.__new__(World)
    world.organisation = organisation
    world.project = factories.project("Dự án", "du-an", of=organisation)
    person, other = factories.person("a@x.example", "A"), factories.person("b@x.example", "B")
    getattr(world, f"_{how}")(person)
    with connection.cursor() as cursor:
        for one, bound in ((person, True), (other, False)):
            cursor.execute("SELECT proposals_has_conflict(%s, %s)", [one.pk, organisation.pk])
            assert cursor.fetchone() == (bound,)
            assert has_conflict(one, organisation) is bound
    assert not Approval.objects.exists()
