"""What people do in the year, each through the service that the pages call, in the name of the person who may."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from portal.clock import now
from portal.people.models import User
from quotas.allocations.models import Allocation, ChangeRequest, CloseOut, Tranche, Voucher
from quotas.allocations.services import TranchePlan, closeout
from quotas.allocations.services.changes import change_propose, change_request
from quotas.allocations.services.closeout import Found
from quotas.allocations.services.progress import report_accept, report_return, report_submit
from quotas.allocations.services.withdrawals import withdrawal_request
from quotas.applications.services import answers_save, application_begin, draft_submit, writer_add
from quotas.programmes.models import Call
from quotas.proposals.models import Proposal
from quotas.proposals.services import proposal_approve
from quotas.reviews.models import Assignment, Decision
from quotas.reviews.services import decision_confirm, decision_propose, review_accept, review_submit
from quotas.reviews.services.scoring import ScoreGiven
from scheduler.clusters.adapters.protocol import AccountingRecord, QueueJob
from scheduler.clusters.names import account_name
from scheduler.settlement.charges import charge_id
from scheduler.settlement.services import outside_cover, settle
from tests.quotas.applications.conftest import complete_texts
from tests.quotas.makers import HOUR
from tests.year.cast import STARTS, Player
from tests.year.world import Year

FIRST_JOB = 700_000_000  # numbers that no Slurm of tests has come to

# --- applications, reviews, decisions ---------------------------------------------------------------------------------


def writes(player: Player, call: Call, **texts: str) -> None:
    """The manager begins a draft, lets a colleague write it with her, and does not submit it yet."""
    draft = application_begin(person=player.manager, organisation=player.organisation, call=call)
    writer_add(person=player.manager, application=draft, user=player.writer)
    plan = player.plan
    asked = {
        "project_title": f"Dự án của {plan.slug}",
        "gpu_type": plan.gpu_type,
        "gpu_hours": str(plan.asked),
        "starts_on": STARTS.isoformat(),
        "ends_on": plan.ends_on.isoformat(),
        "open_data": plan.open_data,
    }
    answers_save(person=player.writer, application=draft, texts=complete_texts(**(asked | texts)))
    player.application = draft


def submits(player: Player) -> None:
    assert player.application is not None
    player.application = draft_submit(person=player.manager, application=player.application)


def reviews_all(call: Call, *, value: int = 4) -> int:
    """Every reviewer declares no interest and scores; returns how many reviews came in."""
    scores = {row.key: ScoreGiven(value, f"Vì {row.label_vi}") for row in call.criteria.all()}
    waiting = Assignment.objects.filter(application__call=call, state__in=["assigned", "accepted"])
    rows = list(waiting.select_related("reviewer", "application__organisation", "application__call").order_by("pk"))
    for row in rows:
        if row.state == Assignment.State.ASSIGNED:
            review_accept(person=row.reviewer, assignment=row)
        review_submit(person=row.reviewer, assignment=row, scores=scores, comment="Đáng hỗ trợ.")
    return len(rows)


def proposes(year: Year, player: Player, person: User, **changes: object) -> Decision:
    """An award or refusal as planned; in two parts where the plan says so."""
    plan, application = player.plan, player.application
    assert application is not None
    rest = plan.awarded - plan.given
    tranches = [
        TranchePlan(plan.given * HOUR, application.starts_on),
        TranchePlan(rest * HOUR, plan.rest_on, needs_report=plan.rest_on is None),
    ]
    wanted: dict[str, object] = {
        "outcome": "award" if plan.awarded else "refusal",
        "awarded_gpu_hours": plan.awarded,
        "cluster": year.cluster.name if plan.awarded else "",
        "reason": "Theo điểm của hội đồng.",
        "tranches": tranches if plan.given else [],
    }
    return decision_propose(person=person, application=application, **(wanted | changes))  # type: ignore[arg-type]


def confirms(player: Player, decision: Decision, *people: User) -> Decision:
    for person in people:
        decision = decision_confirm(person=person, decision=decision)
    if decision.voucher is not None:
        player.vouchers.append(decision.voucher)
    return decision


def approved(proposal: Proposal, *people: User) -> Proposal:
    for person in people:
        proposal = proposal_approve(proposal=proposal, person=person)
    assert proposal.state == Proposal.State.CARRIED_OUT
    return proposal


# --- jobs -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class JobThatRuns:
    line: QueueJob
    allocation: Allocation


def starts_job(
    year: Year, player: Player, *, gpus: int = 8, time_limit_s: int, of: Allocation | None = None
) -> JobThatRuns:
    """Slurm starts a job that was submitted by sbatch, as squeue would show it: it takes its hold."""
    year.jobs += 1
    allocation = of or player.allocation
    moment = now().astimezone(UTC).replace(microsecond=0)
    line = QueueJob(
        job_id=FIRST_JOB + year.jobs,
        array_job_id=None,
        array_tasks="",
        array_task_count=1,
        het_job_id=None,
        user=player.researcher.unix_account or "",
        account=account_name(year.cluster, allocation.project.slug),
        qos=allocation.qos,
        partition=allocation.gpu_type,
        state="RUNNING",
        reason="None",
        comment="",
        name="train",
        submit_at=moment,
        eligible_at=moment,
        start_at=moment,
        time_limit_s=time_limit_s,
        nodes=1,
        gpus={allocation.gpu_type: gpus},
        restarts=0,
    )
    covered = outside_cover(cluster=year.cluster, queue=[line])
    assert (covered.whole, covered.not_at_all) == (1, 0)
    return JobThatRuns(line, allocation)


def record_of(job: QueueJob, *, elapsed_s: int, state: str = "COMPLETED") -> AccountingRecord:
    assert job.start_at is not None
    return AccountingRecord(
        job_id_raw=job.job_id,
        job_id=str(job.job_id),
        account=job.account,
        user=job.user,
        qos=job.qos,
        partition=job.partition,
        state=state,
        submit_at=job.submit_at,
        start_at=job.start_at,
        end_at=job.start_at + timedelta(seconds=elapsed_s),
        elapsed_s=elapsed_s,
        gpus=job.gpus,
        nodes=1,
    )


def ends_job(year: Year, job: JobThatRuns, *, elapsed_s: int, state: str = "COMPLETED") -> UUID:
    """slurmdbd has its record: it is charged, its hold is resolved. Returns the charge's id."""
    settles(year, record_of(job.line, elapsed_s=elapsed_s, state=state))
    return charge_id(year.cluster.name, job.line.job_id, job.line.submit_at)


def settles(year: Year, *records: AccountingRecord) -> None:
    done = settle(cluster=year.cluster, records=records)
    assert (done.failed, done.ignored, done.read) == ([], 0, len(records))
    assert done.charged + done.corrected == len(records)


def uses(year: Year, player: Player, gpu_seconds: int, *, of: Allocation | None = None) -> UUID:
    """A job of eight GPUs that ran a moment ago, unseen while it did, and used about so much."""
    year.jobs += 1
    allocation = of or player.allocation
    elapsed_s = max(gpu_seconds // 8, 1)
    submit_at: datetime = (now() - timedelta(seconds=elapsed_s)).replace(microsecond=0)
    line = AccountingRecord(
        job_id_raw=FIRST_JOB + year.jobs,
        job_id=str(FIRST_JOB + year.jobs),
        account=account_name(year.cluster, allocation.project.slug),
        user=player.researcher.unix_account or "",
        qos=allocation.qos,
        partition=allocation.gpu_type,
        state="COMPLETED",
        submit_at=submit_at,
        start_at=submit_at,
        end_at=submit_at + timedelta(seconds=elapsed_s),
        elapsed_s=elapsed_s,
        gpus={allocation.gpu_type: 8},
        nodes=1,
    )
    settles(year, line)
    return charge_id(year.cluster.name, line.job_id_raw, line.submit_at)


# --- vouchers ---------------------------------------------------------------------------------------------------------


def takes_out(
    player: Player, kind: str, gpu_seconds: int, *, of: Allocation | None = None, to: Allocation | None = None
) -> None:
    """The manager takes hours back from a project (`return`) or moves them to another one (`move`)."""
    withdrawal_request(
        allocation_id=(of or player.allocation).pk,
        kind=kind,
        amount_gpu_seconds=gpu_seconds,
        reason="Sắp xếp lại",
        event_at=now(),
        actor=player.manager,
        target_id=to.pk if to else None,
    )


def changes(year: Year, player: Player, kind: str, *, voucher: Voucher | None = None, **wanted: object) -> None:
    """Asked for by the manager, proposed by An, approved by Chi."""
    asked: ChangeRequest = change_request(
        voucher=voucher or player.voucher,
        kind=kind,
        reason="Mô hình lớn hơn dự tính",
        person=player.manager,
        **wanted,  # type: ignore[arg-type]
    )
    proposal = change_propose(request_id=asked.pk, reason="Hợp lý", person=year.centre.an)
    approved(proposal, year.centre.chi)


def reports_progress(year: Year, player: Player, *, returned_first: bool = False) -> None:
    """The manager reports on the pending tranche; An returns the first report, and accepts the next."""
    tranche = Tranche.objects.get(voucher=player.voucher, state=Tranche.State.PENDING)
    for is_first in [True, False] if returned_first else [False]:
        report = report_submit(tranche_id=tranche.pk, text="Đã huấn luyện xong", links="", person=player.manager)
        if is_first:
            report_return(report_id=report.pk, answer="Thiếu số đo", person=year.centre.an)
        else:
            report_accept(report_id=report.pk, answer="", person=year.centre.an)


def closes_out(year: Year, player: Player, *, voucher: Voucher | None = None, met: Sequence[str] = ()) -> CloseOut:
    """The final report comes in, is returned once, comes again, and An checks every commitment that was made."""
    row = CloseOut.objects.get(voucher=voucher or player.voucher)
    for is_last in (False, True):
        closeout.close_out_submit(
            close_out_id=row.pk,
            title=f"Kết quả của {player.plan.slug}",
            summary="Mô hình mở, phương pháp đã công bố.",
            links={"model_link": "https://example.vn/model"},
            person=player.manager,
        )
        if not is_last:
            closeout.close_out_return(close_out_id=row.pk, reason="Thiếu liên kết", person=year.centre.an)
    found = {name: Found(name in met, "https://example.vn/bang-chung") for name in row.voucher.commitments}
    closeout.close_out_close(close_out_id=row.pk, found=found, person=year.centre.an)
    row.refresh_from_db()
    return row
