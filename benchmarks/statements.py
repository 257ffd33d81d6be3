"""What an organisation's statements cost, ten years of them, and a month of 1,000 organisations.

    .venv/bin/python -m benchmarks.statements [--rounds 60] [--organisations 1000]

The statements are issued by the services, month after month, with a charge in each; the 1,000 organisations share one
month. Also: how long a whole year of closing takes, and what a verification costs. The files are not made here.
Prints one line a figure: name value unit aim. Works in a database of its own, which it drops at the end.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock
from uuid import uuid4

import django

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.db import connection  # noqa: E402

from benchmarks.database import own_database  # noqa: E402
from benchmarks.pages import browser_of, page, processor_s  # noqa: E402
from portal.people.models import CentreRole, Membership, Organisation, Project, User  # noqa: E402
from portal.people.services import (  # noqa: E402
    centre_role_grant,
    membership_add,
    organisation_create,
    project_create,
    user_create,
)
from quotas.allocations.models import Allocation  # noqa: E402
from quotas.allocations.services import Charge, charges_book, voucher_award  # noqa: E402
from quotas.programmes.models import Programme  # noqa: E402
from quotas.programmes.services import programme_create  # noqa: E402
from quotas.statements.models import Statement  # noqa: E402
from quotas.statements.months import Month  # noqa: E402
from quotas.statements.services import last_month_issue, statements_verify  # noqa: E402

MONTHS = 120
FIRST = Month.read("2016-01")
DAY = datetime(2016, 1, 1, tzinfo=UTC).date()
CLOCKS = (
    *("quotas.allocations.services.awards.now", "quotas.allocations.services.charges.now"),
    *("quotas.programmes.services.programmes.now", "quotas.statements.services.closing.now"),
    *(
        "quotas.statements.services.issuing.now",
        "quotas.statements.services.verifying.now",
        "portal.outbox.services.now",
    ),
)


def organisation_make(number: int, programme: Programme) -> Allocation:
    organisation: Organisation = organisation_create(name=f"Organisation {number}", slug=f"org-{number}", kind="sme")
    project: Project = project_create(organisation=organisation, title=f"Project {number}", slug=f"project-{number}")
    return voucher_award(
        organisation=organisation,
        project=project,
        programme=programme,
        gpu_type="h100",
        amount_gpu_seconds=10**9,
        cluster="local",
        starts_on=DAY,
        ends_on=DAY.replace(year=2099),
        actor="bench",
    )


def charge(allocation: Allocation, at: datetime) -> None:
    one = Charge(
        charge_id=uuid4(), allocation_id=allocation.pk, gpu_seconds=3_601, hold_id=None, event_at=at, reason="bench"
    )
    charges_book(charges=[one], actor="bench")


def person(email: str) -> User:
    return user_create(email=email, full_name=email, password=str(uuid4()), unix_account=None, language="vi")


def run(rounds: int, organisations: int) -> None:
    operator, manager = person("operator@bench.example"), person("manager@bench.example")
    centre_role_grant(user=operator, role=CentreRole.Role.OPERATOR)
    moment = FIRST.begins_at
    with clock(lambda: moment):
        programme = programme_create(
            name="Bench", slug="bench", starts_on=DAY, ends_on=DAY.replace(year=2099), budgets={"h100": 10**13},
            actor="bench",
        )  # fmt: skip
        first = organisation_make(0, programme)
        membership_add(organisation=first.project.organisation, user=manager, role=Membership.Role.MANAGER)
        month = FIRST
        for passed in range(MONTHS):
            moment = month.last_moment
            charge(first, moment)
            if passed == MONTHS - 1:
                for number in range(1, organisations):
                    charge(organisation_make(number, programme), moment)
                with connection.cursor() as cursor:
                    cursor.execute("ANALYZE")
            month = month.next
            moment = month.begins_at + timedelta(days=1, hours=2)  # the second day at the centre
            began, used = time.monotonic(), -processor_s()
            last_month_issue(actor="bench")
            took_s, used = time.monotonic() - began, used + processor_s()
        print(f"statements_month_of_{organisations}_organisations {took_s:.1f} s <60", flush=True)
        print(f"statements_month_of_{organisations}_organisations_processor {used:.1f} s -", flush=True)
        assert Statement.objects.count() == MONTHS + organisations - 1
        began = time.monotonic()
        assert statements_verify(organisation="org-0").ok
        print(f"statements_verify_{MONTHS}_of_one_organisation {time.monotonic() - began:.1f} s <10", flush=True)
    client = browser_of(manager)
    page("statements_organisation_10_years", client, "/statements/organisations/org-0/", rounds)
    page("statements_organisation_last_page", client, "/statements/organisations/org-0/?page=10", rounds)
    number = Statement.objects.filter(organisation__slug="org-0").latest("issued_at").number
    page("statements_statement", client, f"/statements/{number}/", rounds)
    client = browser_of(operator)
    page("statements_months", client, "/statements/", rounds)
    page("statements_month_overview", client, f"/statements/months/{month.previous}/", rounds)


def clock(now: Callable[[], datetime]) -> ExitStack:
    """The services' clock: a benchmark travels without the tests' packages."""
    stack = ExitStack()
    for name in CLOCKS:
        stack.enter_context(mock.patch(name, now))
    stack.enter_context(mock.patch("portal.outbox.services.wake"))  # no worker is told
    return stack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--organisations", type=int, default=1_000)
    options = parser.parse_args()
    with own_database("statements"):
        run(options.rounds, options.organisations)


if __name__ == "__main__":
    main()
