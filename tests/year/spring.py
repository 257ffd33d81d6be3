"""From the programme's first day to the summer: a call, its applications, reviews and decisions; jobs, moves, tranches,
changes."""

from datetime import date, datetime
from uuid import UUID

import pytest

from portal.people.models import Membership, ProjectMembership
from portal.people.services import membership_add, project_create, project_member_add
from quotas.allocations.models import Allocation, Tranche, Voucher
from quotas.allocations.selectors import allocation_balances
from quotas.allocations.services import allocation_create, allocation_resume, allocation_suspend
from quotas.allocations.services.proposed import refund_propose
from quotas.applications.errors import CallClosed
from quotas.applications.models import Application, Comment
from quotas.applications.services import (
    answer_save,
    application_begin,
    application_return,
    application_withdraw,
    comment_resolve,
)
from quotas.programmes.models import Call
from quotas.programmes.services import budget_propose, programme_create, tariff_propose
from quotas.programmes.terms import Terms
from quotas.reviews.errors import ConflictOfInterest, SamePerson
from quotas.reviews.expertise import SECTORS
from quotas.reviews.models import Assignment
from quotas.reviews.services import (
    assign_by_expertise,
    conflict_name,
    conflict_own_declare,
    decision_reject,
    expertise_set,
    reviewer_add,
)
from quotas.statements.models import Statement
from scheduler.clusters.names import account_name
from scheduler.settlement.charges import charge_id
from tests.quotas import makers
from tests.quotas.makers import HOUR
from tests.scheduler.live import wait_for
from tests.year import verbs
from tests.year.cast import CAN_THO, DONG_NAI, MIEN_TRUNG, SAO_MAI, VE_TINH, Y_HA_NOI, Player
from tests.year.promises import in_slurm
from tests.year.world import HANOI, SOAK, Year

BUDGET_VND = 20_000_000_000
BUDGET_HOURS = {"h100": 30_000, "h200": 10_000}
TERMS = Terms(
    shares={"startup": 8_000, "sme": 3_333, "university": 10_000, "institute": 6_667, "public_body": 10_000},
    largest_award_gpu_hours=2_000,
    open_vouchers_limit=2,
    three_person_above_vnd=50_000_000,
    clawback_on=date(2027, 9, 15),
    clawback_basis_points=2_500,
)


def january_a_programme_and_its_first_call(year: Year) -> None:
    an, binh, chi = year.centre.an, year.centre.binh, year.centre.chi
    with year.at("2027-01-05 09:00"):
        year.programme = programme_create(
            name="Phiếu tính toán 2027",
            slug="ai-2027",
            starts_on=date(2027, 1, 1),
            ends_on=date(2028, 6, 30),
            budgets={},
            terms=TERMS,
            actor=an,
        )
        seconds = {gpu_type: hours * HOUR for gpu_type, hours in BUDGET_HOURS.items()}
        proposal = budget_propose(
            programme=year.programme, reason="Quyết định 1", person=an, vnd=BUDGET_VND, gpu_seconds=seconds
        )
        verbs.approved(proposal, binh, chi)  # so much money takes three people
        for gpu_type, vnd in (("h100", 60_001), ("h200", 90_007)):
            tariff(year, gpu_type, vnd, date(2027, 1, 5))
        open_call(year, "dot-1", "2027-01-11 08:00", "2027-02-10 17:00")
    with year.at("2027-01-12 10:00"):
        for player in year.players.values():
            verbs.writes(player, year.calls[0])


def tariff(year: Year, gpu_type: str, vnd: int, valid_from: date) -> None:
    proposal = tariff_propose(
        gpu_type=gpu_type, vnd_per_gpu_hour=vnd, valid_from=valid_from, reason="Giá điện", person=year.centre.an
    )
    verbs.approved(proposal, year.centre.chi)


def open_call(year: Year, slug: str, opens: str, closes: str) -> None:
    assert year.programme is not None
    times = [datetime.fromisoformat(text).replace(tzinfo=HANOI) for text in (opens, closes)]
    call = makers.call(year.programme, slug, opens_at=times[0], closes_at=times[1], reviews_needed=2)
    for number, reviewer in enumerate(year.centre.reviewers):
        sectors = [key for place, (key, _label) in enumerate(SECTORS) if place % 4 == number]
        expertise_set(person=reviewer, reviewer=reviewer, sectors=sectors, product_groups=[], open_reviews_limit=100)
        reviewer_add(person=year.centre.an, call=call, reviewer=reviewer)
    year.calls.append(call)


def february_applications_and_reviews(year: Year) -> None:
    an, players, call = year.centre.an, year.players, year.calls[0]
    with year.at("2027-02-01 10:00"):
        for player in players.values():
            if not player.plan.is_late:
                verbs.submits(player)
        second = application_begin(
            person=players[SAO_MAI].manager, organisation=players[SAO_MAI].organisation, call=call
        )
        application_withdraw(person=players[SAO_MAI].manager, application=second, reason="Gửi nhầm")
    assert year.month_end("2027-01") == 0, "nothing was awarded yet"
    with year.at("2027-02-03 09:00"):
        returned = players[MIEN_TRUNG].application
        assert returned is not None
        application_return(person=an, application=returned, comments={"purpose": "Cho ai dùng?"}, reason="Chưa rõ")
    with year.at("2027-02-11 09:00"), pytest.raises(CallClosed):
        verbs.submits(players[VE_TINH])
    with year.at("2027-02-12 09:00"):  # the call is closed, the time to answer is not
        player = players[MIEN_TRUNG]
        answer_save(person=player.writer, application=returned, key="purpose", text="Cho trường học.")
        comment_resolve(person=player.writer, comment=Comment.objects.get(application=returned))
        verbs.submits(player)
    with year.at("2027-02-15 09:00"):
        assignments_with_conflicts(year, call)
    with year.at("2027-02-20 09:00"):
        assert verbs.reviews_all(call) == 2 * Application.objects.filter(call=call, state="submitted").count()


def assignments_with_conflicts(year: Year, call: Call) -> None:
    """Cần Thơ names Hà; Dũng knows somebody in the first organisation that he is given. Others take their places."""
    dung, ha, *_others = year.centre.reviewers
    player = year.players[CAN_THO]
    conflict_name(person=player.manager, organisation=player.organisation, email=ha.email, reason="Từng làm cùng")
    assert assign_by_expertise(person=year.centre.an, call=call).unmet == {}
    assert not Assignment.objects.filter(reviewer=ha, application=player.application).exists()
    first = Assignment.objects.filter(reviewer=dung).select_related("application__organisation").earliest("pk")
    conflict_own_declare(person=dung, assignment=first, reason="Em gái làm ở đó")
    assert len(assign_by_expertise(person=year.centre.an, call=call).matches) >= 1
    assert (
        not Assignment.objects.filter(reviewer=dung, application__organisation=first.application.organisation)
        .exclude(state="ended")
        .exists()
    )


def march_decisions(year: Year) -> None:
    an, binh, chi = year.centre.an, year.centre.binh, year.centre.chi
    bound = year.players[MIEN_TRUNG].organisation
    with year.at("2027-03-01 09:00"):
        membership_add(organisation=bound, user=binh, role=Membership.Role.MEMBER, actor=an)
        with pytest.raises(ConflictOfInterest):
            verbs.proposes(year, year.players[MIEN_TRUNG], binh)
        sent_back = verbs.proposes(year, year.players[CAN_THO], an, awarded_gpu_hours=150)
        decision_reject(person=chi, decision=sent_back, reason="Cấp đủ")
        for player in year.players.values():
            if not player.plan.is_late:
                decided(year, player)
    large = year.players[SAO_MAI].voucher
    assert (large.face_gpu_seconds, large.state_share_vnd) == (1_000 * HOUR, 48_000_800)
    assert year.players[Y_HA_NOI].voucher.commitments == ["free_use", "methods_published"], "what it promised"
    assert year.month_end("2027-02") == 0
    with year.at("2027-03-15 00:10"):  # the first day: what begins with it begins
        assert Tranche.objects.filter(state="pending").count() == 4
    assert Tranche.objects.filter(state="pending").count() == 2


def decided(year: Year, player: Player) -> None:
    """An proposes, Bình confirms; Chi where Bình is bound, and after him where it takes three."""
    an, binh, chi = year.centre.an, year.centre.binh, year.centre.chi
    decision = verbs.proposes(year, player, an)
    with pytest.raises(SamePerson):
        verbs.confirms(player, decision, an)
    if player.plan.slug == MIEN_TRUNG:
        verbs.confirms(player, decision, chi)
    elif decision.proposal.approvals_needed == 2:
        half = verbs.confirms(player, decision, binh)
        assert half.voucher is None
        verbs.confirms(player, half, chi)
    else:
        verbs.confirms(player, decision, binh)
    if player.vouchers:
        project_member_add(
            project=player.project,
            user=player.researcher,
            role=ProjectMembership.Role.RESEARCHER,
            actor=player.manager,
        )


def everybody_works(year: Year, text: str) -> None:
    """Jobs of a month; by default of two organisations, because each of their limits is a call to sacctmgr."""
    with year.at(text):
        open_ = [player for player in year.players.values() if player.vouchers and is_open(player.allocation)]
        for player in open_ if SOAK else year.dice.sample(open_, 2):
            share = year.dice.randrange(3, 9)
            verbs.uses(year, player, player.plan.awarded * HOUR * share // 100)


def is_open(allocation: Allocation) -> bool:
    return allocation.state == "active" and allocation_balances([allocation.pk])[allocation.pk].free > 0


def april_jobs_run(year: Year) -> None:
    an, binh, player = year.centre.an, year.centre.binh, year.players[SAO_MAI]
    assert year.month_end("2027-03") == len([one for one in year.players.values() if one.vouchers])
    charge = a_job_really_runs(year, player)
    allocation = player.allocation
    before = in_slurm(year.slurm, [allocation.qos])[allocation.qos]
    assert (before.minutes, before.usage_raw) == (
        1_000 * 60 - 1,
        allocation_balances([allocation.pk])[allocation.pk].consumed - 8,
    )
    with year.at("2027-04-06 09:00"):  # the limit rises by what slurmctld's counter keeps
        proposal = refund_propose(
            allocation=allocation, charge_id=charge, amount_gpu_seconds=8, reason="Nút chậm", person=an
        )
        verbs.approved(proposal, binh)
    assert in_slurm(year.slurm, [allocation.qos])[allocation.qos].minutes == 1_000 * 60
    with year.at("2027-04-10 09:00"):
        verbs.uses(year, player, 31 * HOUR + 7)
    everybody_works(year, "2027-04-20 18:00")


def a_job_really_runs(year: Year, player: Player) -> UUID:
    """By sbatch, under the limits as they are: what slurmctld counts of it, the ledger charges. Eight GPU-seconds more
    are charged for a job that it never saw, and leave the limit."""
    allocation, user = player.allocation, player.researcher.unix_account or ""
    place = [f"--account={account_name(year.cluster, player.project.slug)}", "--partition=h100"]
    answer = year.slurm.sbatch(
        user, *place, f"--qos={allocation.qos}", "--gres=gpu:h100:4", "--time=5", script="#!/bin/sh\nsleep 3\n"
    )
    assert answer.code == 0, answer.error
    number = int(answer.out.split(";")[0])
    records = wait_for(
        "the record",
        lambda: [one for one in year.adapter.records(job_ids=[number]) if one.is_final],
        limit_s=180,
        every_s=1,
    )
    with year.at("2027-04-05 09:00"):
        verbs.settles(year, *records)
        verbs.uses(year, player, 8)
    return charge_id(year.cluster.name, number, records[0].submit_at)


def may_parts_move_between_projects(year: Year) -> None:
    player, an = year.players[SAO_MAI], year.centre.an
    assert year.month_end("2027-04") >= 6
    annex = Statement.objects.get(organisation=player.organisation, period__month=date(2027, 4, 1)).read()
    researcher = player.researcher.unix_account
    assert {row["account"] for row in annex["compute"][0]["people"]} == {researcher}
    assert annex["facts"]["people"] == {researcher: str(player.researcher)}
    with year.at("2027-05-10 09:00"):
        second = project_create(organisation=player.organisation, title="Giọng nói", actor=player.manager)
        verbs.takes_out(player, "return", 300 * HOUR)
    with year.at("2027-05-11 09:00"):
        first = player.allocation
        to = allocation_create(
            voucher=player.voucher,
            project=second,
            cluster=year.cluster.name,
            amount_gpu_seconds=200 * HOUR,
            starts_on=first.starts_on,
            ends_on=first.ends_on,
            actor=player.manager,
        )
        suspended = year.players[MIEN_TRUNG].allocation
        allocation_suspend(allocation_id=suspended.pk, reason="Kiểm tra", actor=an)
    with year.at("2027-05-12 09:00"):
        verbs.takes_out(player, "move", 50 * HOUR, of=first, to=to)
        allocation_resume(allocation_id=suspended.pk, reason="", actor=an)
    assert allocation_balances([to.pk])[to.pk].free == 250 * HOUR


def june_second_parts_are_released(year: Year) -> None:
    assert year.month_end("2027-05") >= 6
    with year.at("2027-06-03 09:00"):  # Hồng Lâm's came by its day
        verbs.reports_progress(year, year.players[Y_HA_NOI], returned_first=True)
    assert not Tranche.objects.exclude(state="released").exists()


def july_changes(year: Year) -> None:
    players = year.players
    assert year.month_end("2027-06") >= 6
    with year.at("2027-07-05 09:00"):
        verbs.changes(year, players[MIEN_TRUNG], "more", amount_gpu_seconds=51 * HOUR)
        verbs.changes(year, players[DONG_NAI], "longer", ends_on=date(2027, 10, 31))
        verbs.takes_out(players[CAN_THO], "return", 60 * HOUR)
    assert players[MIEN_TRUNG].voucher.face_gpu_seconds == (247 + 51) * HOUR
    assert players[DONG_NAI].allocation.ends_on == date(2027, 10, 31)
    with year.at("2027-07-06 09:00"):
        verbs.changes(year, players[CAN_THO], "gpu_type", amount_gpu_seconds=60 * HOUR, gpu_type="h200")
    players[CAN_THO].vouchers.append(Voucher.objects.get(changed_from=players[CAN_THO].voucher))
