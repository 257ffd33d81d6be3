"""What the operators' queue, a call's ranking and its matrix of reviews cost, with 5,000 applications.

    .venv/bin/python -m benchmarks.reviews [--applications 5000] [--rounds 60]

Two reviews of each application. Prints one line a figure: name value unit aim. Works in a database of its own, which it
drops at the end.
"""

import argparse
import os
import sys
from datetime import timedelta
from pathlib import Path

import django

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.db import connection, transaction  # noqa: E402
from django.urls import reverse  # noqa: E402

from benchmarks.database import own_database  # noqa: E402
from benchmarks.pages import browser_of, page  # noqa: E402
from portal.clock import centre_date, now  # noqa: E402
from portal.people.models import CentreRole, Organisation, User  # noqa: E402
from portal.people.services import centre_role_grant, organisation_create, user_create  # noqa: E402
from quotas.applications.models import Application  # noqa: E402
from quotas.programmes.models import Call  # noqa: E402
from quotas.programmes.selectors import questions_current  # noqa: E402
from quotas.programmes.services import CriterionGiven, call_create, criteria_set, programme_create  # noqa: E402
from quotas.reviews.models import Assignment, Score  # noqa: E402
from quotas.reviews.services.reviewers import reviewer_add  # noqa: E402
from quotas.units import SECONDS_PER_HOUR  # noqa: E402

ORGANISATIONS = 200
REVIEWERS = 40
REVIEWS = 2
CRITERIA = [CriterionGiven(key, key, key, weight, 5) for key, weight in (("merit", 3), ("impact", 2), ("team", 1))]


def person(name: str, role: CentreRole.Role | None = None) -> User:
    user = user_create(email=f"{name}@bench.example", full_name=name, password="-" * 20)
    if role:
        centre_role_grant(user=user, role=role)
    return user


def call_make(operator: User) -> Call:
    today = centre_date(now())
    programme = programme_create(
        name="Bench",
        slug="bench",
        starts_on=today - timedelta(days=1),
        ends_on=today + timedelta(days=700),
        budgets={"h100": 1_000_000 * SECONDS_PER_HOUR},
        actor="bench",
    )
    call = call_create(
        programme=programme,
        title="Bench",
        slug="bench",
        opens_at=now(),
        closes_at=now() + timedelta(days=30),
        actor="bench",
    )
    criteria_set(call=call, criteria=CRITERIA, actor="bench")
    return call


def applications_make(call: Call, count: int) -> None:
    """Set-based: what the services would have written, for a measure of reading."""
    applicant = person("applicant")
    organisations = [
        organisation_create(name=f"Org {number}", slug=f"org-{number}", kind=Organisation.Kind.STARTUP, tax_code="")
        for number in range(ORGANISATIONS)
    ]
    moment, today = now(), centre_date(now())
    questions = questions_current(call)
    Application.objects.bulk_create(
        Application(
            programme=call.programme,
            call=call,
            organisation=organisations[number % ORGANISATIONS],
            applicant=applicant,
            project_title=f"Application {number}",
            purpose="x" * 500,
            gpu_type="h100",
            gpu_hours=100 + number % 900,
            starts_on=today,
            ends_on=today + timedelta(days=300),
            state="submitted",
            submitted_at=moment,
            created_at=moment,
            updated_at=moment,
            question_set=questions,
            state_at=moment,
        )
        for number in range(count)
    )


def reviews_make(call: Call, operator: User) -> None:
    reviewers = [person(f"reviewer{number}", CentreRole.Role.REVIEWER) for number in range(REVIEWERS)]
    for one in reviewers:
        reviewer_add(person=operator, call=call, reviewer=one)
    moment, criteria = now(), list(call.criteria.all())
    rows = Assignment.objects.bulk_create(
        Assignment(
            application_id=pk,
            reviewer=reviewers[(pk + turn) % REVIEWERS],
            assigned_by=operator,
            assigned_at=moment,
            due_on=centre_date(moment),
            state="accepted",
            accepted_at=moment,
        )
        for pk in Application.objects.values_list("pk", flat=True)
        for turn in range(REVIEWS)
    )
    Score.objects.bulk_create(
        Score(assignment=row, criterion=one, value=(row.pk * 7 + one.pk) % 6, reason="x")
        for row in rows
        for one in criteria
    )
    for row in rows:
        row.state, row.submitted_at, row.score_basis_points = "submitted", moment, row.pk * 7919 % 10_001
    Assignment.objects.bulk_update(rows, ["state", "submitted_at", "score_basis_points"], batch_size=2_000)


def run(count: int, rounds: int) -> None:
    with transaction.atomic():
        operator = person("operator", CentreRole.Role.OPERATOR)
        call = call_make(operator)
        applications_make(call, count)
        reviews_make(call, operator)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    client = browser_of(operator)
    pages = {
        "queue": reverse("reviews:queue"),
        "ranking": reverse("reviews:ranking", args=[call.slug]),
        "ranking_last_page": reverse("reviews:ranking", args=[call.slug]) + f"?page={-(-count // 50)}",
        "matrix": reverse("reviews:matrix", args=[call.slug]),
    }
    for name, url in pages.items():
        page(f"reviews_{name}_of_{count}", client, url, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--applications", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    with own_database("reviews"):
        run(options.applications, options.rounds)


if __name__ == "__main__":
    main()
