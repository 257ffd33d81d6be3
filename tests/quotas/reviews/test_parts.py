"""Whatever people become in whatever order: one part a person, and no bound reviewer sees the application."""

from contextlib import suppress

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal.people.models import Membership, Organisation, ProjectMembership, User
from portal.people.services import centre_role_grant, centre_role_revoke, project_create
from quotas.applications.errors import ApplicationError
from quotas.applications.models import Application
from quotas.applications.services import application_withdraw
from quotas.programmes.models import Call
from quotas.proposals.errors import ProposalError
from quotas.proposals.models import Approval, Conflict
from quotas.proposals.services import conflict_declare
from quotas.reviews.models import Assignment, Decision, Part
from quotas.reviews.selectors import reviewed_by, reviews_of
from quotas.reviews.services import (
    assign_by_expertise,
    assignment_make,
    decision_confirm,
    decision_propose,
    decision_reject,
    reviewer_add,
)
from tests import factories
from tests.quotas import makers
from tests.quotas.applications.conftest import submit
from tests.quotas.reviews.conftest import in_call, reviewed

ROLES = ("operator", "approver", "reviewer")
STEPS = (
    "grant",
    "revoke",
    "join",
    "leave",
    "join_project",
    "declare",
    "add",
    "assign",
    "match",
    "review",
    "propose",
    "confirm",
    "reject",
    "withdraw",
)
step = st.tuples(st.sampled_from(STEPS), st.integers(0, 3), st.integers(0, 3), st.sampled_from(ROLES))


class World:
    def __init__(self) -> None:
        self.people = [factories.person(f"p{number}@x.example", f"P {number}") for number in range(4)]
        self.root = factories.person("root@x.example", "Root", centre_roles=("operator",))  # type: ignore[arg-type]
        self.organisation: Organisation = factories.organisation("Sao Khuê", "sao-khue")
        self.manager = factories.person("m@x.example", "Manager")
        factories.member(self.manager, self.organisation, Membership.Role.MANAGER)
        programme = makers.programme()
        self.call: Call = makers.call(programme)
        self.project = project_create(organisation=self.organisation, title="Dự án", actor="test")
        self.application = in_call(submit(self.manager, self.organisation, programme), self.call)

    def do(self, what: str, who: User, other: User, role: str) -> None:  # noqa: C901  a table of steps
        decision = Decision.objects.filter(state="proposed").first()
        application = Application.objects.select_related("organisation", "programme").get()
        review = Assignment.objects.filter(reviewer=who).select_related("application__call").first()
        match what:
            case "grant":
                centre_role_grant(user=who, role=role)
            case "revoke":
                centre_role_revoke(user=who, role=role)
            case "join":
                factories.member(who, self.organisation)
            case "leave":
                Membership.objects.filter(user=who).delete()
                ProjectMembership.objects.filter(user=who).delete()
            case "join_project":
                factories.project_member(who, self.project)
            case "declare":
                conflict_declare(person=who, organisation=self.organisation, reason="x", declared_by=who)
            case "add":
                reviewer_add(person=self.root, call=self.call, reviewer=who)
            case "assign":
                assignment_make(person=other, application=application, reviewer=who)
            case "match":
                assign_by_expertise(person=self.root, call=self.call)
            case "review" if review:
                reviewed(review)
            case "propose":
                decision_propose(
                    person=who,
                    application=application,
                    outcome="award",
                    awarded_gpu_hours=1,
                    cluster="local",
                    reason="x",
                )
            case "confirm" if decision:
                decision_confirm(person=who, decision=decision)
            case "reject" if decision:
                decision_reject(person=who, decision=decision, reason="x")
            case "withdraw":
                application_withdraw(person=who, application=application)

    def check(self) -> None:
        application = Application.objects.get()
        parts: dict[int, set[str]] = {application.applicant_id: {"applicant"}}
        for row in Assignment.objects.all():
            parts.setdefault(row.reviewer_id, set()).add("reviewer")
        for decision in Decision.objects.all():
            parts.setdefault(decision.proposed_by.pk, set()).add("proposer")
        for approval in Approval.objects.filter(proposal__kind="award"):
            parts.setdefault(approval.approver_id, set()).add("approver")
        assert all(len(played) == 1 for played in parts.values()), parts
        assert {row.person_id: {row.part} for row in Part.objects.all()} == parts
        for person in self.people:
            bound = (
                Membership.objects.filter(user=person).exists()
                or ProjectMembership.objects.filter(user=person).exists()
                or Conflict.objects.filter(person=person).exists()
            )
            if bound:
                assert not Application.objects.filter(reviewed_by(person)).exists()
                assert not Assignment.objects.filter(reviewer=person).exclude(state="ended").exists()
                if person.centre_roles.filter(role="reviewer").exists():
                    assert not reviews_of(person).exists()


@pytest.mark.django_db
@given(st.lists(step, min_size=3, max_size=25))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_part_a_person_and_no_sight_for_the_bound(steps: list[tuple[str, int, int, str]]) -> None:
    with transaction.atomic():
        world = World()
        for person, role in zip(world.people, ("operator", "operator", "approver", "reviewer"), strict=True):
            centre_role_grant(user=person, role=role)
        for what, who, other, role in steps:
            with suppress(ApplicationError, ProposalError), transaction.atomic():
                world.do(what, world.people[who], world.people[other], role)
            world.check()
        transaction.set_rollback(True)
