"""The lists of applications with 5,000 of them: what a page costs, and how long saving one field takes.

    .venv/bin/python -m benchmarks.applications [--rounds 40]

The operators' queue, their list of all applications (plain, searched, filtered), an organisation's own list and an
autosave. Prints one line a figure: name value unit aim. Works in a
database of its own, which it drops at the end.
"""

import argparse
import os
import sys
import time
from datetime import timedelta
from pathlib import Path

import django

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import reverse  # noqa: E402

from benchmarks.database import own_database  # noqa: E402
from benchmarks.pages import P95_MS_MOST, browser_of, p95_ms, page  # noqa: E402
from portal.clock import centre_date, now  # noqa: E402
from portal.people.models import CentreRole, Membership, User  # noqa: E402
from quotas.applications.models import Answer, Application  # noqa: E402
from quotas.applications.services import application_begin  # noqa: E402
from tests import factories  # noqa: E402
from tests.quotas import makers  # noqa: E402

APPLICATIONS, ORGANISATIONS = 5_000, 200
STATES = ("submitted", "submitted", "proposed", "awarded", "refused", "returned")


def fill() -> tuple[User, User, Application]:
    """An operator, a manager, and a draft of the manager's among 5,000 applications, each with its texts."""
    operator = factories.person("operator@bench.example", "Operator", centre_roles=(CentreRole.Role.OPERATOR,))
    manager = factories.person("manager@bench.example", "Manager")
    call = makers.call(makers.programme(h100_hours=10_000_000))
    houses = [factories.organisation(f"Organisation {n}", f"organisation-{n}") for n in range(ORGANISATIONS)]
    factories.member(manager, houses[0], Membership.Role.MANAGER)
    draft = application_begin(person=manager, organisation=houses[0], call=call)
    began, today = now() - timedelta(days=300), centre_date(now())
    rows = [
        Application(
            programme=call.programme,
            call=call,
            question_set=draft.question_set,
            organisation=houses[number % ORGANISATIONS],
            applicant=manager,
            project_title=f"Project number {number}",
            purpose="Fine-tuning of an open model. " * 20,
            gpu_type="h100",
            gpu_hours=100 + number,
            starts_on=today,
            ends_on=today + timedelta(days=300),
            sector="education",
            risk_tier="limited",
            state=STATES[number % len(STATES)],
            state_at=began + timedelta(minutes=number),
            submitted_at=began + timedelta(minutes=number),
            created_at=began + timedelta(minutes=number),
            updated_at=began + timedelta(minutes=number),
        )
        for number in range(APPLICATIONS)
    ]
    for row in rows:
        row.resubmit_by = now() if row.state == "returned" else None
    made = Application.objects.bulk_create(rows, batch_size=1_000)
    Answer.objects.bulk_create(
        [
            Answer(application=row, key=key, value="x" * 200, edited_by=manager, edited_at=began)
            for row in made
            for key in ("purpose", "data_sets", "open_plan", "q.q1")
        ],
        batch_size=5_000,
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return operator, manager, draft


def autosave(client: Client, draft: Application, rounds: int) -> None:
    address = reverse("applications:field", args=[draft.pk, "purpose"])
    seconds = []
    for number in range(rounds):
        data = {"purpose": f"Text number {number}", "stamp-purpose": f"{number}.-"}
        began = time.perf_counter()
        assert client.post(address, data, headers={"HX-Request": "true"}).status_code == 200
        seconds.append(time.perf_counter() - began)
    print(f"application_autosave_p95 {p95_ms(seconds):.0f} ms <={P95_MS_MOST}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    with own_database("applications"):
        operator, manager, draft = fill()
        everything, own = browser_of(operator), browser_of(manager)
        listed = reverse("applications:list")
        page("applications_queue_of_5000", everything, reverse("reviews:queue"), options.rounds)
        page("applications_list_of_5000", everything, listed, options.rounds)
        page("applications_list_searched", everything, f"{listed}?q=number+12&state=submitted", options.rounds)
        page("applications_list_own", own, listed, options.rounds)
        autosave(own, draft, options.rounds)


if __name__ == "__main__":
    main()
