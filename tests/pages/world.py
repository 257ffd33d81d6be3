"""A centre at work, for looking at its pages: something of every kind, in every state that looks different.

Last month Sao Mai AI used a voucher with money, and its statement is issued. Now a call is open: its applications are
being written, were returned, are reviewed, ranked, proposed and decided. Proposals wait, and one result is public.
"""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import time_machine
from django.core.files.base import ContentFile

from portal.clock import centre_date, now
from portal.people.models import CentreRole, User
from quotas.allocations.models import ChangeRequest, CloseOut, CommitmentCheck, Voucher
from quotas.allocations.services import Charge, changes, charges_book, cluster_move, progress
from quotas.applications.models import Application
from quotas.applications.services import (
    answers_save,
    application_begin,
    application_return,
    attachment_add,
    draft_submit,
    writer_add,
)
from quotas.programmes.services import budget_propose
from quotas.programmes.terms import Terms
from quotas.proposals.services import conflict_declare
from quotas.reviews.services import (
    assignment_make,
    decision_confirm,
    decision_propose,
    review_accept,
    reviewer_add,
)
from quotas.statements.months import Month
from quotas.statements.services import files_make, periods_close, statements_issue, statements_verify
from scheduler.clusters.models import Cluster
from scheduler.clusters.services import snapshot_take
from scheduler.datasets.services.groups import groups_apply
from tests import factories
from tests.pages.cluster_at_work import worked_on_by_hand
from tests.pages.findings import gpus_and_findings
from tests.pages.jobs import jobs_in_three_states
from tests.pages.telemetry import telemetry
from tests.portal.files.making import pdf
from tests.quotas import makers
from tests.quotas.applications.conftest import complete_texts
from tests.quotas.makers import HOUR
from tests.quotas.reviews.conftest import reviewed
from tests.scheduler.clusters.test_capacity_pages import Seen
from tests.scheduler.clusters.test_occupancy import node
from tests.scheduler.datasets import makers as data_sets
from tests.scheduler.datasets.host import Host
from tests.scheduler.jobs.library import makers as presets

World = SimpleNamespace  # the cast of tests/conftest.py by name, and what is made here
TERMS = Terms(shares=makers.SHARES, open_vouchers_limit=9, three_person_above_vnd=1_000_000_000)


def at_work(world: World) -> World:
    world.month = Month.at(now()).previous
    with time_machine.travel(world.month.begins_at + timedelta(days=3), tick=False):
        _voucher(world)
    with time_machine.travel(world.month.ends_at + timedelta(hours=1), tick=False):
        _statement(world)
    _voucher_now(world)
    _applications(world)
    _decisions(world)
    world.proposal = budget_propose(
        programme=world.programme, vnd=1_000_000_000, reason="Đợt bổ sung", person=world.second_operator
    )
    _cluster(world)
    _presets(world)
    world.job_running, world.job_ended, world.job_waiting = jobs_in_three_states(world)
    gpus_and_findings(world)
    telemetry(world)
    conflict_declare(
        person=world.reviewer, organisation=world.other_organisation, reason="Đồng tác giả", declared_by=world.reviewer
    )
    return world


def _cluster(world: World) -> None:
    """One node of each kind, jobs of three organisations."""
    world.cluster, _ = Cluster.objects.get_or_create(
        name="local", defaults={"title": "Cụm Hà Nội", "created_at": now()}
    )
    slurm = Seen()
    slurm.shown_nodes += [node(f"gpu{3 + n:03}", state) for n, state in enumerate(("IDLE", "IDLE+DRAIN", "DOWN"))]
    said = "batch job complete failure [slurm@2026-06-01T10:00:00]"
    slurm.shown_nodes[-2] = replace(slurm.shown_nodes[-2], reason=said)
    slurm.shown_queue[0] = replace(slurm.shown_queue[0], account=f"sl-{world.project.slug}", start_at=now())
    snapshot_take(cluster=world.cluster, adapter=slurm)
    worked_on_by_hand(world.cluster)
    _data_sets(world)


def _data_sets(world: World) -> None:
    """One that is used, one that begins, and a worker that waits for an operator because too many would leave."""
    named = data_sets.named(organisations=[world.organisation])
    world.data_set = data_sets.offered(world.cluster, **named)
    world.data_set_draft = data_sets.draft(world.cluster, "anh-y-te", name="Ảnh y tế", version="0.9")
    host = Host()
    groups_apply(cluster=world.cluster, removals_cap=0, actor="test", groups=host)
    host.groups[world.data_set.unix_group] |= {f"r{number}" for number in range(30)}
    groups_apply(cluster=world.cluster, removals_cap=20, actor="test", groups=host)


def _presets(world: World) -> None:
    """One of the centre's own, a version of it that waits, and one that nobody may be offered."""
    presets.saved(world.operator, "lora", title=presets.title("LoRA của trung tâm"))
    presets.offered(world.operator, "lora", 1)
    presets.saved(world.operator, "lora", script="#!/bin/bash\n@{options}\nrank=@{rank}\n", why="Chưa xong")


def _voucher(world: World) -> None:
    world.voucher = makers.voucher_with_money(world.project, slug="natif", vnd=9_000_000_000, terms=TERMS)
    world.programme = world.voucher.programme
    world.allocation = world.voucher.allocations.get()
    charges_book(
        charges=[
            Charge(
                charge_id=makers.named(f"page {number}"),
                allocation_id=world.allocation.pk,
                gpu_seconds=(1 + number % 3) * HOUR + 7,
                hold_id=None,
                event_at=now() + timedelta(hours=number),
                reason="job",
            )
            for number in range(12)
        ],
        actor="test",
    )


def _statement(world: World) -> None:
    [period] = [one for one in periods_close(month=world.month, actor="test") if one.month == world.month.first]
    [world.statement] = statements_issue(period=period, actor="test")
    files_make(statement_id=world.statement.pk)
    statements_verify()


def _voucher_now(world: World) -> None:
    today = centre_date(now())
    ended = makers.award(world.project, world.programme, gpu_seconds=HOUR).voucher
    Voucher.objects.filter(pk=world.voucher.pk).update(starts_on=world.month.first, ends_on=today + timedelta(days=50))
    world.voucher.refresh_from_db()
    person: User = world.organisation_manager
    tranche = world.voucher.tranches.get(needs_report=True)
    progress.report_submit(tranche_id=tranche.pk, text="Đã huấn luyện xong bản thử.", links="", person=person)
    changes.change_request(
        voucher=world.voucher,
        kind=ChangeRequest.Kind.LONGER,
        reason="Dữ liệu đến muộn.",
        person=person,
        ends_on=today + timedelta(days=90),
    )
    world.move = cluster_move(
        source_id=world.allocation.pk,
        cluster="nam",
        amount_gpu_seconds=2 * HOUR,
        reason="Máy ở đó đang rảnh.",
        actor=person,
    )
    world.result = CloseOut.objects.create(
        voucher=ended,
        state="closed",
        title="Sao Mai 7B",
        summary="Mô hình ngôn ngữ tiếng Việt mở.",
        model_link="https://example.vn/model",
        opened_at=now(),
        closed_at=now(),
    )
    for commitment in ended.commitments:
        CommitmentCheck.objects.create(
            close_out=world.result,
            commitment=commitment,
            is_met=commitment != "data_licensed",
            evidence="https://example.vn/evidence",
            checked_by=world.operator,
            checked_at=now(),
        )


def _applications(world: World) -> None:
    lan, thao = world.organisation_manager, world.organisation_member
    world.call = makers.call(world.programme)

    def written(title: str, **changes: str) -> Application:
        made = application_begin(person=lan, organisation=world.organisation, call=world.call)
        answers_save(person=lan, application=made, texts=complete_texts(project_title=title, **changes))
        return made

    def submitted(title: str, **changes: str) -> Application:
        return draft_submit(person=lan, application=written(title, **changes))

    world.empty = application_begin(person=lan, organisation=world.organisation, call=world.call)
    world.draft, world.returned = written("Trợ lý pháp luật"), written("Đọc phim X-quang")
    writer_add(person=lan, application=world.draft, user=thao)
    for one in (world.draft, world.returned):
        attachment_add(person=lan, application=one, upload=ContentFile(pdf(), name="Kế hoạch chi tiết.pdf"))
    draft_submit(person=lan, application=world.returned)
    application_return(
        person=world.operator,
        application=world.returned,
        comments={"purpose": "Nói rõ ai dùng mô hình."},
        reason="Mục đích còn chung chung.",
    )
    world.waiting = submitted("Dịch máy cho tiếng dân tộc thiểu số", gpu_hours="120")
    world.reviewed = submitted("Trợ lý ảo cho giáo viên tiểu học", sector="education", gpu_hours="300")
    world.proposed = submitted("Tóm tắt văn bản hành chính", gpu_hours="50")
    world.to_confirm = submitted("Nhận dạng tiếng nói ba miền", gpu_hours="80")
    world.decided = submitted("Tìm kiếm y văn", sector="health", gpu_hours="20")


def _decisions(world: World) -> None:
    an, binh = world.operator, world.second_operator
    second = factories.person("ha@reviewers.example", "Hà Bảo Ngọc", centre_roles=(CentreRole.Role.REVIEWER,))
    for one in (world.reviewer, second):
        reviewer_add(person=an, call=world.call, reviewer=one)
    rows = [assignment_make(person=an, application=world.reviewed, reviewer=one) for one in (world.reviewer, second)]
    for row, value in zip(rows, (4, 3), strict=True):
        reviewed(row, value)
    world.review_done = rows[0]
    world.review_new = assignment_make(person=an, application=world.waiting, reviewer=world.reviewer)
    world.review_open = assignment_make(person=an, application=world.to_confirm, reviewer=world.reviewer)
    review_accept(person=world.reviewer, assignment=world.review_open)
    reviewed(assignment_make(person=an, application=world.to_confirm, reviewer=second), 2)

    def proposal(application: Application, person: User, hours: int) -> object:
        return decision_propose(
            person=person,
            application=application,
            outcome="award",
            awarded_gpu_hours=hours,
            cluster="local",
            reason="Sản phẩm ưu tiên, kế hoạch mở rõ ràng.",
        )

    proposal(world.proposed, an, 50)
    world.decision = decision_confirm(person=an, decision=proposal(world.decided, binh, 15))
