"""A year of a programme, through the services, on the real Slurm: two calls, and all that happens to vouchers.

After every step the ledger verifies and slurmctld's limits are those of the allocations; after every month all that was
issued is still what the ledger says (`promises`). Eight organisations by default; forty with SOAK.
"""

import pytest

from quotas.allocations.models import Voucher
from quotas.allocations.selectors import allocation_balances
from quotas.ledger.selectors import balances
from quotas.money import shares_split, vnd_of
from quotas.programmes.selectors import budget_of
from tests.year import autumn, spring
from tests.year.world import Year

pytestmark = [pytest.mark.slurm, pytest.mark.django_db]


def test_a_year_of_a_programme(year: Year) -> None:
    spring.january_a_programme_and_its_first_call(year)
    spring.february_applications_and_reviews(year)
    spring.march_decisions(year)
    spring.april_jobs_run(year)
    spring.may_parts_move_between_projects(year)
    spring.june_second_parts_are_released(year)
    spring.july_changes(year)
    autumn.august_a_node_fails(year)
    autumn.september_what_is_unspent_goes_back(year)
    autumn.october_a_second_call(year)
    autumn.november_a_voucher_ends_under_a_running_job(year)
    autumn.december_the_turn_of_the_year(year)
    autumn.january_the_centre_decides(year)
    autumn.march_all_is_closed(year)
    every_account_is_settled(year)
    assert year.compared > 300, "limits, over all steps"


def every_account_is_settled(year: Year) -> None:
    """Nothing is left of any voucher; the state and the organisations have paid for what was used, to the VND."""
    assert year.programme is not None
    state_paid = 0
    for voucher in Voucher.objects.prefetch_related("allocations"):
        known = allocation_balances([row.pk for row in voucher.allocations.all()])
        assert not any(one.remaining or one.held for one in known.values()), voucher
        used = sum(one.consumed - one.overrun for one in known.values())
        worth = vnd_of(used, voucher.tariff_vnd_per_gpu_hour or 0)
        state, own = shares_split(worth, voucher.state_basis_points or 0)
        ids = [voucher.account_id, voucher.money_account_id, voucher.earned_account_id, voucher.contribution_account_id]
        at_end = balances([pk for pk in ids if pk is not None])
        assert [at_end[pk or 0].posted for pk in ids] == [0, 0, worth, -own], voucher
        state_paid += state
    assert budget_of(year.programme).free_vnd == spring.BUDGET_VND - state_paid
