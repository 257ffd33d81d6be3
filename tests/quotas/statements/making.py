"""A month with everything in it, and issuing, for the tests of statements."""

from datetime import datetime

import time_machine

from portal.people.models import Organisation, Project
from quotas.allocations.models import Allocation
from quotas.allocations.services import correction_book, refund_book, withdrawal_confirm, withdrawal_request
from quotas.programmes.models import Programme
from quotas.statements.models import Period, Statement
from quotas.statements.months import Month
from quotas.statements.services import periods_close, statements_issue
from tests import factories
from tests.quotas import makers
from tests.quotas.makers import HOUR
from tests.quotas.statements.conftest import HANOI, at

SEPTEMBER, OCTOBER, NOVEMBER = (Month.read(f"2026-{number:02d}") for number in (9, 10, 11))


def time_after(month: Month) -> time_machine.travel:
    """Noon of the second day after a month."""
    first = month.next.first
    return at(first.year, first.month, 2)


def issue(month: Month) -> dict[str, Statement]:
    """Closes and issues a month; answers its statements by organisation."""
    with time_after(month):
        periods_close(month=month, actor="test")
        for period in Period.objects.filter(issued_at__isnull=True).order_by("month"):
            statements_issue(period=period, actor="test")
    rows = Statement.objects.filter(period__month=month.first).select_related("organisation")
    return {row.organisation.slug: row for row in rows}


def awards_of_others(programme: Programme, count: int) -> list[Allocation]:
    """Each to another organisation."""
    first = Organisation.objects.count()
    numbers = range(first, first + count)
    organisations = [factories.organisation(f"Tổ chức {number}", f"to-chuc-{number}") for number in numbers]
    projects = [factories.project("Dự án", f"du-an-cua-{one.slug}", of=one) for one in organisations]
    return [makers.award(project, programme, gpu_seconds=HOUR) for project in projects]


def full_month(project: Project, programme: Programme) -> Allocation:
    """October of two projects: jobs on several days, an overrun, a refund, a correction, a move, a clawback, two GPU
    types, and a project whose title a spreadsheet would run."""
    second = factories.project('=HYPERLINK("http://x")', "du-an-hai", of=project.organisation)
    with at(2026, 10, 5):
        allocation = makers.award(project, programme)
        makers.award(second, programme, gpu_seconds=10 * HOUR, gpu_type="h200")
        other = makers.award(second, programme, gpu_seconds=3 * HOUR + 7)
    with at(2026, 10, 9):
        makers.charge(other, "over", 4 * HOUR)
        makers.charge(allocation, "1", 10 * HOUR + 1, hold_id=makers.hold(allocation, "1", 12 * HOUR))
        makers.charge(allocation, "2", 5 * HOUR)
    with at(2026, 10, 20):
        refund_book(
            allocation_id=allocation.pk,
            record_charge_id=makers.named("charge 1"),
            refund_id=makers.named("refund"),
            amount_gpu_seconds=4 * HOUR,
            event_at=datetime(2026, 10, 20, tzinfo=HANOI),
            reason="máy chủ hỏng",
            actor="test",
        )
        correction_book(
            allocation_id=allocation.pk,
            record_charge_id=makers.named("charge 2"),
            revision=1,
            difference_gpu_seconds=-HOUR,
            event_at=makers.NOON,
            reason="slurm 2 changed",
            actor="test",
        )
        makers.hold(allocation, "3", 3 * HOUR)
        for kind in ("clawback", "return"):
            [row] = withdrawal_request(
                allocation_id=allocation.pk,
                kind=kind,
                amount_gpu_seconds=2 * HOUR,
                reason="x",
                event_at=makers.NOON,
                actor="test",
            )
            withdrawal_confirm(withdrawal_id=row.pk, event_at=makers.NOON, actor="test")
    return allocation
