"""What the lists of vouchers, allocations and proposals cost, with 1,000 of each.

    .venv/bin/python -m benchmarks.vouchers [--vouchers 1000] [--rounds 60]

Awarded by the services, with money and a tranche to come; a clawback is proposed of each, and every second one sent
back. Prints one line a figure: name value unit aim. Works in a database of its own, which it drops at the end.
"""

import argparse
import os
import sys
from datetime import timedelta
from pathlib import Path
from unittest import mock

import django

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.db import connection  # noqa: E402
from django.urls import reverse  # noqa: E402

from benchmarks.database import own_database  # noqa: E402
from benchmarks.pages import browser_of, page  # noqa: E402
from portal.clock import centre_date, now  # noqa: E402
from portal.people.models import CentreRole, Membership, User  # noqa: E402
from quotas.allocations.services import TranchePlan, voucher_award  # noqa: E402
from quotas.allocations.services.proposed import clawback_propose  # noqa: E402
from quotas.proposals.services import proposal_send_back  # noqa: E402
from tests import factories  # noqa: E402
from tests.quotas import makers  # noqa: E402
from tests.quotas.makers import HOUR  # noqa: E402

ORGANISATIONS = 100


def fill(vouchers: int) -> tuple[User, User]:
    """An operator, and a manager of the first organisation."""
    operator = factories.person("operator@bench.example", "Operator", centre_roles=(CentreRole.Role.OPERATOR,))
    other = factories.person("other@bench.example", "Other", centre_roles=(CentreRole.Role.OPERATOR,))
    manager = factories.person("manager@bench.example", "Manager")
    makers.tariff("h100", 60_000)
    programme = makers.programme(h100_hours=10 * vouchers, vnd=10**12)
    houses = [factories.organisation(f"Organisation {n}", f"organisation-{n}") for n in range(ORGANISATIONS)]
    projects = [factories.project(f"Project {one.pk}", f"project-{one.pk}", of=one) for one in houses]
    factories.member(manager, houses[0], Membership.Role.MANAGER)
    today = centre_date(now())
    for number in range(vouchers):
        allocation = voucher_award(
            organisation=houses[number % ORGANISATIONS],
            project=projects[number % ORGANISATIONS],
            programme=programme,
            gpu_type="h100",
            amount_gpu_seconds=2 * HOUR,
            cluster="local",
            starts_on=today,
            ends_on=today + timedelta(days=300),
            actor=operator,
            tranches=[TranchePlan(HOUR, today), TranchePlan(HOUR, needs_report=True)],
        )
        proposal = clawback_propose(voucher=allocation.voucher, basis_points=5_000, reason="bench", person=operator)
        if number % 2:
            proposal_send_back(proposal=proposal, person=other, reason="bench")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return operator, manager


def run(vouchers: int, rounds: int) -> None:
    with mock.patch("portal.outbox.services.wake"):  # no worker is told
        operator, manager = fill(vouchers)
    everything, own = browser_of(operator), browser_of(manager)
    page(f"vouchers_of_{vouchers}", everything, reverse("vouchers:list"), rounds)
    page("vouchers_own", own, reverse("vouchers:list"), rounds)
    page(f"allocations_of_{vouchers}", everything, reverse("allocations:list"), rounds)
    page(f"proposals_of_{vouchers // 2}", everything, reverse("proposals:list"), rounds)
    page(f"proposals_history_of_{vouchers // 2}", everything, reverse("proposals:history"), rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vouchers", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    with own_database("vouchers"):
        run(options.vouchers, options.rounds)


if __name__ == "__main__":
    main()
