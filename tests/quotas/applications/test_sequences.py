"""Any order of edits, submissions, returns and withdrawals by several people keeps these promises:

- an application is submitted as often as it was a draft or returned before, and each time whole;
- its texts change only while it is written, its submissions never;
- the record has every move, in order, with who made it; who may not act changes nothing.
"""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal.people.models import Organisation, User
from quotas.applications import errors
from quotas.applications.models import Application, Comment
from quotas.applications.selectors import answer_values
from quotas.applications.services import (
    answer_save,
    answers_save,
    application_begin,
    application_return,
    application_withdraw,
    comment_resolve,
    draft_submit,
    writer_add,
)
from quotas.applications.timeline import timeline_of
from quotas.programmes.models import Call
from tests.quotas.applications.conftest import complete_texts

pytestmark = pytest.mark.django_db

VERBS = st.sampled_from(["edit", "empty", "submit", "return", "resolve", "withdraw"])
PEOPLE = st.sampled_from(["manager", "writer", "operator", "outsider"])
MAY = {
    "edit": {"manager", "writer"},
    "empty": {"manager", "writer"},
    "submit": {"manager"},
    "return": {"operator"},
    "resolve": {"manager", "writer"},
    "withdraw": {"manager"},
}
AFTER = {
    ("submit", "draft"): "submitted",
    ("submit", "returned"): "submitted",
    ("return", "submitted"): "returned",
    ("return", "returned"): "returned",
    ("withdraw", "draft"): "withdrawn",
    ("withdraw", "submitted"): "withdrawn",
    ("withdraw", "returned"): "withdrawn",
}


def act(verb: str, person: User, application: Application, number: int) -> None:
    if verb == "edit":
        answer_save(person=person, application=application, key="purpose", text=f"Bản số {number}")
    elif verb == "empty":
        answer_save(person=person, application=application, key="purpose", text="")
    elif verb == "submit":
        draft_submit(person=person, application=application)
    elif verb == "return":
        application_return(person=person, application=application, comments={"purpose": "?"}, reason="Chưa rõ")
    elif verb == "resolve":
        for comment in Comment.objects.filter(application=application):
            comment_resolve(person=person, comment=comment)
    else:
        application_withdraw(person=person, application=application)


@settings(
    max_examples=300 if "SOAK" in os.environ else 15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(st.tuples(VERBS, PEOPLE), max_size=14))
def test_any_order_of_steps_keeps_the_promises(
    organisation: Organisation,
    organisation_manager: User,
    organisation_member: User,
    operator: User,
    outsider: User,
    call: Call,
    steps: list[tuple[str, str]],
) -> None:
    people = {
        "manager": organisation_manager,
        "writer": organisation_member,
        "operator": operator,
        "outsider": outsider,
    }
    application = application_begin(person=organisation_manager, organisation=organisation, call=call)
    writer_add(person=organisation_manager, application=application, user=organisation_member)
    answers_save(person=organisation_manager, application=application, texts=complete_texts())
    state, purpose, is_resolved = "draft", str(answer_values(application)["purpose"]), True
    moves: list[tuple[str, User]] = [("draft", organisation_manager)]
    kept: list[str] = []
    for number, (verb, role) in enumerate(steps):
        # What this model says will happen.
        allowed = role in MAY[verb]
        written = state in ("draft", "returned")
        if verb in ("edit", "empty", "resolve"):
            will = allowed and (written or (verb == "resolve" and not application.comments.exists()))
        elif verb == "submit":
            will = allowed and written and bool(purpose) and is_resolved
        else:
            will = allowed and (verb, state) in AFTER
        application = Application.objects.get(pk=application.pk)
        try:
            act(verb, people[role], application, number)
        except errors.ApplicationError:
            did = False
        else:
            did = True
        if verb == "resolve" and not Comment.objects.filter(application=application).exists():
            continue
        assert did == will, (verb, role, state)
        if not did:
            continue
        if verb in ("edit", "empty"):
            purpose = f"Bản số {number}" if verb == "edit" else ""
        elif verb == "resolve":
            is_resolved = True
        else:
            state = AFTER[(verb, state)]
            moves.append((state, people[role]))
            is_resolved = is_resolved and verb != "return"
            kept += [purpose] if verb == "submit" else []
    application.refresh_from_db()
    assert (application.state, answer_values(application).get("purpose", "")) == (state, purpose)
    submissions = application.submissions.order_by("number")
    assert [one.answers["purpose"] for one in submissions] == kept
    record = [(step.after, step.person) for step in reversed(timeline_of(application, is_ours=True))]
    assert record == [(str(Application.State(name).label), person) for name, person in moves]
