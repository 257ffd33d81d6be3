"""Whatever people become in whatever order: one part a person, and no bound reviewer sees the application.

The applicant is one of them, and grows other roles like everybody; interests are declared, named by the organisation
and lifted, people join, leave and come back; the application is returned and submitted again.
"""

import os
from contextlib import suppress

import pytest
from django.db import transaction
from django.http import Http404
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal.people.errors import PeopleError
from portal.people.models import CentreRole, Membership, Organisation, ProjectMembership, User
from portal.people.services import (
    centre_role_grant,
    centre_role_revoke,
    membership_remove,
    project_create,
    project_member_remove,
)
from quotas.applications.errors import ApplicationError
from quotas.applications.models import Application
from quotas.applications.selectors import application_get, applications_visible, attachment_get
from quotas.applications.services import answers_save, application_return, application_withdraw, draft_submit
from quotas.programmes.models import Call
from quotas.proposals.errors import ProposalError
from quotas.proposals.models import Approval, Conflict
from quotas.proposals.rules import has_conflict
from quotas.proposals.services import conflict_declare, conflict_lift
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
from tests.quotas.applications.conftest import complete_texts, submit
from tests.quotas.reviews.conftest import in_call, reviewed

SOAK = "SOAK" in os.environ
ROLES = ("operator", "approver", "reviewer", "auditor")
STEPS = (
    *("grant", "grant", "revoke", "join", "manage", "leave", "join_project", "leave_project"),
    *("declare", "name", "lift", "add", "assign", "assign", "match", "review", "review"),
    *("propose", "propose", "confirm", "confirm", "reject", "return", "submit", "withdraw"),
)
PEOPLE = 5  # the last is the applicant
step = st.tuples(st.sampled_from(STEPS), st.integers(0, PEOPLE - 1), st.integers(0, PEOPLE - 1), st.sampled_from(ROLES))


class World:
    def __init__(self) -> None:
        self.people = [factories.person(f"p{number}@x.example", f"P {number}") for number in range(PEOPLE - 1)]
        self.root = factories.person("root@x.example", "Root", centre_roles=(CentreRole.Role.OPERATOR,))
        self.organisation: Organisation = factories.organisation("Sao Khuê", "sao-khue")
        self.manager = factories.person("m@x.example", "Manager")
        applicant = factories.person("applicant@x.example", "Applicant")
        for person in (self.manager, applicant):
            factories.member(person, self.organisation, Membership.Role.MANAGER)
        self.people.append(applicant)
        programme = makers.programme()
        self.call: Call = makers.call(programme)
        self.project = project_create(organisation=self.organisation, title="Dự án", actor="test")
        self.application = in_call(submit(applicant, self.organisation, programme), self.call)

    def do(self, what: str, who: User, other: User, role: str) -> None:
        application = Application.objects.select_related("organisation", "programme", "call").get()
        if what in ("grant", "revoke", "join", "manage", "leave", "join_project", "leave_project"):
            self.become(what, who, role)
        elif what in ("declare", "name", "lift"):
            self.be_bound(what, who)
        elif what in ("propose", "confirm", "reject"):
            self.decide(what, who, application)
        else:
            self.handle(what, who, other, application)

    def become(self, what: str, who: User, role: str) -> None:
        match what:
            case "grant":
                centre_role_grant(user=who, role=role)
            case "revoke":
                centre_role_revoke(user=who, role=role)
            case "join":
                factories.member(who, self.organisation)
            case "manage":
                factories.member(who, self.organisation, Membership.Role.MANAGER)
            case "join_project":
                factories.project_member(who, self.project)
            case "leave_project":
                for row in ProjectMembership.objects.filter(user=who):
                    project_member_remove(project=self.project, user=who, role=row.role)
            case "leave":
                for member in Membership.objects.filter(user=who):
                    membership_remove(organisation=self.organisation, user=who, role=member.role)

    def be_bound(self, what: str, who: User) -> None:
        if what == "lift":
            for conflict in Conflict.objects.filter(person=who):
                conflict_lift(conflict=conflict, actor=self.root)
        else:
            by = who if what == "declare" else self.manager
            conflict_declare(person=who, organisation=self.organisation, reason="x", declared_by=by)

    def decide(self, what: str, who: User, application: Application) -> None:
        decision = Decision.objects.filter(state="proposed").first()
        if what == "propose":
            decision_propose(
                person=who, application=application, outcome="award", awarded_gpu_hours=1, cluster="local", reason="x"
            )
        elif decision is not None and what == "confirm":
            decision_confirm(person=who, decision=decision)
        elif decision is not None:
            decision_reject(person=who, decision=decision, reason="x")

    def handle(self, what: str, who: User, other: User, application: Application) -> None:
        review = Assignment.objects.filter(reviewer=who).select_related("application__call").last()
        match what:
            case "add":
                reviewer_add(person=self.root, call=self.call, reviewer=who)
            case "assign":
                assignment_make(person=other, application=application, reviewer=who)
            case "match":
                assign_by_expertise(person=self.root, call=self.call)
            case "review" if review:
                reviewed(review)
            case "return":
                application_return(person=who, application=application, comments={}, reason="x")
            case "submit":
                answers_save(person=who, application=application, texts=complete_texts())
                draft_submit(person=who, application=application)
            case "withdraw":
                application_withdraw(person=who, application=application)

    def check(self) -> None:
        self.check_parts()
        application = Application.objects.get()
        for person in self.people:
            if has_conflict(person, self.organisation):
                self.check_no_sight(person, application)

    def check_parts(self) -> None:
        """Every trace that a part leaves says the same one part of a person, for ever."""
        application = Application.objects.get()
        parts: dict[int, set[str]] = {application.applicant_id: {"applicant"}}
        for row in Assignment.objects.all():
            parts.setdefault(row.reviewer_id, set()).add("reviewer")
        for decision in Decision.objects.all():
            parts.setdefault(decision.proposed_by.pk, set()).add("proposer")
        for approval in Approval.objects.filter(proposal__kind="award"):
            parts.setdefault(approval.approver_id, set()).add("approver")
        assert all(len(played) == 1 for played in parts.values()), parts
        known: dict[int, set[str]] = {}
        for part in Part.objects.all():
            known.setdefault(part.person_id, set()).add(part.part)
        assert all(len(played) == 1 for played in known.values()), known
        assert all(known[person] == played for person, played in parts.items())

    def check_no_sight(self, person: User, application: Application) -> None:
        """By reviewing, nothing; what else the person is may show it: the centre's roles, its own organisation."""
        assert not Application.objects.filter(reviewed_by(person)).exists()
        assert not Assignment.objects.filter(reviewer=person).exclude(state="ended").exists()
        roles = set(CentreRole.objects.filter(user=person).values_list("role", flat=True))
        if "reviewer" in roles:
            assert not reviews_of(person).exists()
        if roles <= {"reviewer"} and not Membership.objects.filter(user=person, role="manager").exists():
            assert not applications_visible(person).exists()
            with pytest.raises(Http404):
                application_get(person, application.pk)
            with pytest.raises(Http404):
                attachment_get(person, application.pk, 1)


@pytest.mark.django_db
@given(st.lists(step, min_size=5, max_size=30))
@settings(
    max_examples=500 if SOAK else 12,
    derandomize=not SOAK,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_one_part_a_person_and_no_sight_for_the_bound(steps: list[tuple[str, int, int, str]]) -> None:
    with transaction.atomic():
        world = World()
        for person, role in zip(world.people[:4], ("operator", "operator", "approver", "reviewer"), strict=True):
            centre_role_grant(user=person, role=role)
        reviewer_add(person=world.root, call=world.call, reviewer=world.people[3])
        for what, who, other, role in steps:
            with suppress(ApplicationError, ProposalError, PeopleError), transaction.atomic():
                world.do(what, world.people[who], world.people[other], role)
            world.check()
        transaction.set_rollback(True)
