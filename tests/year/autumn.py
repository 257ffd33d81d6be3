"""From the summer to the last statement: refunds, a clawback, returns, a second call, the turn of the year, the end."""

from datetime import date

import pytest

from quotas.allocations.errors import CloseOutOpen
from quotas.allocations.models import Allocation, CloseOut, Refund, Withdrawal
from quotas.allocations.selectors import allocation_balances
from quotas.allocations.services import voucher_return
from quotas.allocations.services.proposed import clawback_propose, correction_propose, move_propose
from quotas.allocations.vouchers import results_public
from quotas.applications.services import answer_save, application_begin
from quotas.proposals.models import Proposal
from quotas.reviews.services import assign_by_expertise
from quotas.statements.models import Statement
from tests.quotas.makers import HOUR
from tests.year import verbs
from tests.year.cast import DONG_NAI, HONG_LAM, LAM_DONG, MIEN_TRUNG, SAO_MAI, VE_TINH, Y_HA_NOI
from tests.year.spring import everybody_works, open_call, tariff
from tests.year.world import Year


def august_a_node_fails(year: Year) -> None:
    player, an, binh = year.players[HONG_LAM], year.centre.an, year.centre.binh
    assert year.month_end("2027-07") >= 6
    with year.at("2027-08-03 09:00"):
        job = verbs.starts_job(year, player, time_limit_s=12 * HOUR)
    with year.at("2027-08-03 15:00"):
        verbs.ends_job(year, job, elapsed_s=6 * HOUR, state="NODE_FAIL")
        proposal = Proposal.objects.get(kind="refund", state="waiting")
        assert proposal.facts["gpu_seconds"] == 48 * HOUR
        verbs.approved(proposal, binh)
    with year.at("2027-08-04 09:00"):  # too much was given back
        taken_back = correction_propose(
            refund=Refund.objects.get(pk=proposal.pk), amount_gpu_seconds=8 * HOUR, reason="Chạy 1 giờ", person=an
        )
        verbs.approved(taken_back, binh)
    with year.at("2027-08-05 09:00"):  # slurmdbd's record of it changes, and another organisation overruns
        verbs.settles(year, verbs.record_of(job.line, elapsed_s=5 * HOUR, state="NODE_FAIL"))
        other = year.players[Y_HA_NOI]
        free = allocation_balances([other.allocation.pk])[other.allocation.pk].free
        verbs.uses(year, other, free + 16 * HOUR)
    assert allocation_balances([other.allocation.pk])[other.allocation.pk].overrun == 16 * HOUR


def september_what_is_unspent_goes_back(year: Year) -> None:
    player = year.players[SAO_MAI]
    second = Allocation.objects.select_related("project").filter(voucher=player.voucher).latest("pk")
    assert year.month_end("2027-08") >= 6
    with year.at("2027-09-14 09:00"):
        job = verbs.starts_job(year, player, time_limit_s=30 * HOUR, of=second)
    with year.at("2027-09-15 00:10"):
        pass  # the day of the clawback has come
    waiting = Withdrawal.objects.get(state="waiting")
    assert (waiting.allocation, waiting.kind) == (second, "clawback"), "what a job holds stays until it ends"
    with year.at("2027-09-15 20:00"):
        verbs.ends_job(year, job, elapsed_s=20 * HOUR)
    assert not Withdrawal.objects.filter(state__in=["waiting", "requested"]).exists()


def october_a_second_call(year: Year) -> None:
    player, players = year.players[SAO_MAI], year.players
    with year.at("2027-10-01 08:00"):
        open_call(year, "dot-2", "2027-10-01 08:00", "2027-10-31 17:00")
        verbs.takes_out(player, "return", 100 * HOUR)
    assert year.month_end("2027-09") >= 5
    with year.at("2027-10-05 09:00"):  # those, and some that no project has had since May
        voucher_return(
            voucher_id=player.voucher.pk, amount_gpu_seconds=120 * HOUR, reason="Không cần", actor=player.manager
        )
        tariff(year, "h100", 66_667, date(2027, 11, 1))
    with year.at("2027-10-20 09:00"):
        late = players[VE_TINH]
        draft = application_begin(
            person=late.manager, organisation=late.organisation, call=year.calls[1], copy_of=late.application
        )
        late.application = draft
        answer_save(person=late.manager, application=draft, key="starts_on", text="2027-12-01")
        verbs.submits(late)
        for slug in (LAM_DONG, DONG_NAI):
            verbs.writes(players[slug], year.calls[1], starts_on="2027-12-01", ends_on="2028-02-29", gpu_hours="100")
            verbs.submits(players[slug])


def november_a_voucher_ends_under_a_running_job(year: Year) -> None:
    player, an, binh = year.players[DONG_NAI], year.centre.an, year.centre.binh
    with year.at("2027-10-31 20:00"):
        job = verbs.starts_job(year, player, gpus=4, time_limit_s=10 * HOUR)
    with year.at("2027-11-01 00:10"):
        pass
    balance = allocation_balances([player.allocation.pk])[player.allocation.pk]
    assert (player.allocation.state, balance.free) == ("expired", 0)
    assert balance.held == 4 * (10 * HOUR + 60)
    with year.at("2027-11-01 05:00"):
        verbs.ends_job(year, job, elapsed_s=9 * HOUR)
    assert year.month_end("2027-10") >= 5
    with year.at("2027-11-10 09:00"):
        assert assign_by_expertise(person=an, call=year.calls[1]).unmet == {}
        verbs.reviews_all(year.calls[1], value=3)
    with year.at("2027-11-15 09:00"), pytest.raises(CloseOutOpen):
        verbs.proposes(year, player, an, awarded_gpu_hours=40)
    with year.at("2027-11-20 09:00"):
        verbs.closes_out(year, player, met=["free_use", "methods_published"])
        verbs.confirms(player, verbs.proposes(year, player, an, awarded_gpu_hours=40), binh)
    second = player.vouchers[1]
    assert second.tariff_vnd_per_gpu_hour == 66_667, "of the day of the award"
    given = allocation_balances([second.allocations.get().pk])[second.allocations.get().pk]
    assert given.free == 40 * HOUR, "the day of the clawback was before its time"
    with year.at("2027-12-01 00:10"):
        pass  # its first day
    assert [row.voucher for row in results_public()] == [player.vouchers[0]]


def december_the_turn_of_the_year(year: Year) -> None:
    """A year, a month and a number end at midnight of the centre, 17:00 of UTC."""
    an, binh, lam_dong, ve_tinh = year.centre.an, year.centre.binh, year.players[LAM_DONG], year.players[VE_TINH]
    assert year.month_end("2027-11") >= 5
    everybody_works(year, "2027-12-20 18:00")
    with year.at("2027-12-31 23:30"):
        decision = verbs.proposes(year, lam_dong, an, outcome="award", awarded_gpu_hours=80, cluster=year.cluster.name)
        verbs.confirms(lam_dong, decision, binh)
        verbs.uses(year, lam_dong, 2 * HOUR)
    with year.at("2028-01-01 00:10"):
        verbs.confirms(ve_tinh, verbs.proposes(year, ve_tinh, an), binh)
        verbs.uses(year, lam_dong, 3 * HOUR)
    assert lam_dong.voucher.number.startswith("PHT-2027-")
    assert ve_tinh.voucher.number == "PHT-2028-00001"
    assert year.month_end("2027-12") >= 6
    december = Statement.objects.get(organisation=lam_dong.organisation)
    assert december.number.startswith("SK-2027-12-")
    assert december.summary["compute"]["h100"]["charged"] == -2 * HOUR
    assert not Statement.objects.filter(organisation=ve_tinh.organisation).exists()


def january_the_centre_decides(year: Year) -> None:
    an, binh, lam_dong, sao_mai = year.centre.an, year.centre.binh, year.players[LAM_DONG], year.players[SAO_MAI]
    source, target = Allocation.objects.filter(voucher=sao_mai.voucher).order_by("pk")
    with year.at("2028-01-10 09:00"):
        move = move_propose(source=source, target=target, amount_gpu_seconds=10 * HOUR, reason="Nhóm xin", person=an)
        verbs.approved(move, binh)
        clawback = clawback_propose(voucher=lam_dong.voucher, basis_points=5_000, reason="Không chạy", person=an)
        verbs.approved(clawback, binh)
    assert year.month_end("2028-01") >= 7
    first = Statement.objects.get(organisation=lam_dong.organisation, period__month=date(2028, 1, 1))
    assert first.summary["compute"]["h100"]["charged"] == -3 * HOUR
    assert first.number.startswith("SK-2028-01-")


def march_all_is_closed(year: Year) -> None:
    with year.at("2028-03-01 00:10"):
        pass  # every voucher has ended
    assert year.month_end("2028-02") >= 7
    player = year.players[MIEN_TRUNG]
    with year.at("2028-03-03 09:00"):  # a record that slurmdbd brings late: nobody has anything left for it
        verbs.uses(year, player, 4 * HOUR)
    assert allocation_balances([player.allocation.pk])[player.allocation.pk].overrun == 4 * HOUR
    with year.at("2028-03-10 09:00"):
        for row in CloseOut.objects.filter(state="open").select_related("voucher__organisation"):
            one = year.players[row.voucher.organisation.slug]
            verbs.closes_out(year, one, voucher=row.voucher, met=row.voucher.commitments)
    assert year.month_end("2028-03") >= 1
    with year.at("2028-04-03 09:00"):
        pass
