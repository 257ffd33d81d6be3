"""Who may read what, and that a list costs the same number of queries whatever its length."""

from datetime import date

import pytest
from django.http import Http404

from portal.people.models import Project, User
from quotas.allocations.models import Allocation
from quotas.allocations.selectors import (
    allocation_balances,
    allocation_get,
    allocation_limits,
    allocation_list,
    usable_allocations,
    with_balances,
)
from quotas.allocations.services import allocation_suspend
from quotas.allocations.trail import FIGURES, transfers_of_figure
from quotas.programmes.models import Programme
from tests.quotas.makers import HOUR, award, charge, hold

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("role", ["researcher", "pi", "organisation_manager", "operator", "approver", "auditor"])
def test_those_who_see_the_project_see_its_allocations(
    allocation: Allocation, role: str, request: pytest.FixtureRequest
) -> None:
    person = request.getfixturevalue(role)
    assert allocation_get(person, allocation.pk) == allocation
    assert list(allocation_list(person)) == [allocation]


@pytest.mark.parametrize("role", ["outsider", "other_researcher", "organisation_member", "reviewer", "nobody"])
def test_for_others_it_does_not_exist(allocation: Allocation, role: str, request: pytest.FixtureRequest) -> None:
    person = request.getfixturevalue(role)
    with pytest.raises(Http404):
        allocation_get(person, allocation.pk)
    assert not allocation_list(person).exists()


def test_a_researcher_can_use_what_is_open_today(
    project: Project, programme: Programme, allocation: Allocation, researcher: User, organisation_manager: User
) -> None:
    award(project, programme, gpu_seconds=HOUR, starts_on=date(2098, 1, 1))  # not yet
    suspended = award(project, programme, gpu_seconds=HOUR)
    allocation_suspend(allocation_id=suspended.pk, reason="audit", actor="test")
    [row] = usable_allocations(researcher, project)
    assert (row.allocation, row.balance.free) == (allocation, 100 * HOUR)
    assert usable_allocations(organisation_manager, project) == []


@pytest.mark.parametrize("count", [3, 30])
def test_balances_limits_and_lists_take_one_query_for_any_number(
    project: Project,
    programme: Programme,
    count: int,
    operator: User,
    django_assert_num_queries,  # type: ignore[no-untyped-def]
) -> None:
    ids = [award(project, programme, gpu_seconds=HOUR).pk for _number in range(count)]
    with django_assert_num_queries(1):
        assert len(allocation_balances(ids)) == count
    with django_assert_num_queries(1):
        assert len(allocation_limits(ids)) == count
    with django_assert_num_queries(3):  # the person's roles, the rows, their balances
        rows = with_balances(allocation_list(operator))
        assert len({row.allocation.project.organisation.name for row in rows}) == 1


def test_every_figure_is_the_sum_of_its_transfers(allocation: Allocation) -> None:
    charge(allocation, "1", 101 * HOUR, hold_id=hold(allocation, "1", 60 * HOUR))
    counts = {figure: transfers_of_figure(allocation, figure).count() for figure in FIGURES}
    assert counts == {
        "granted": 1,
        "overrun": 1,
        "held": 0,
        "consumed": 3,
        "expired": 0,
        "remaining": 6,
        "withdrawals": 0,
    }
