"""Explicit makers for quotas: a programme, an award, a job's life in GPU-seconds. All through the services."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid5

from portal.clock import centre_date, now
from portal.people.models import CentreRole, Project, User
from quotas.allocations.models import Allocation, Voucher
from quotas.allocations.selectors import AllocationBalance, allocation_balances, allocation_limits
from quotas.allocations.services import (
    BookedCharge,
    Charge,
    TranchePlan,
    allocation_create,
    allocation_suspend,
    charges_book,
    hold_take,
    voucher_award,
)
from quotas.ledger.models import Transfer
from quotas.programmes.models import Call, Programme, Tariff
from quotas.programmes.services import (
    CriterionGiven,
    call_create,
    criteria_set,
    programme_create,
    questions_publish,
    tariff_propose,
)
from quotas.programmes.terms import Terms
from quotas.proposals.models import Proposal
from quotas.proposals.services import proposal_approve
from tests import factories

HOUR = 3_600
NOON = datetime(2026, 6, 1, 5, 0, tzinfo=UTC)  # 12:00 in Ho Chi Minh City
STARTS, ENDS = date(2026, 1, 1), date(2099, 12, 31)
# The state pays all for public bodies, half for a small firm.
SHARES = {"startup": 8_000, "sme": 5_000, "university": 10_000, "institute": 10_000, "public_body": 10_000}
_NAMES = UUID("7d9c6a52-4c8f-4f7f-9d0e-0f5a3c1b2e11")


def named(name: str) -> UUID:
    """The same id for the same name, so that a test can say "the hold of job 1"."""
    return uuid5(_NAMES, name)


def programme(
    slug: str = "natif-2026",
    *,
    h100_hours: int = 1_000,
    h200_hours: int = 0,
    vnd: int = 0,
    terms: Terms | None = None,
) -> Programme:
    budgets = {"h100": h100_hours * HOUR, "h200": h200_hours * HOUR}
    return programme_create(
        name=f"Programme {slug}",
        slug=slug,
        starts_on=STARTS,
        ends_on=ENDS,
        budgets={gpu_type: amount for gpu_type, amount in budgets.items() if amount},
        budget_vnd=vnd,
        terms=terms or Terms(shares=SHARES),
        actor="test",
    )


def decider(name: str = "a") -> User:
    """A person of the centre who may propose and approve, made on the first call."""
    email = f"decider-{name}@centre.example"
    return User.objects.filter(email=email).first() or factories.person(
        email, f"Decider {name}", centre_roles=(CentreRole.Role.OPERATOR, CentreRole.Role.APPROVER)
    )


def approved(proposal: Proposal) -> Proposal:
    """The proposal after as many other people as it needs have approved it."""
    for name in ("b", "c")[: proposal.approvals_needed]:
        proposal = proposal_approve(proposal=proposal, person=decider(name))
    return proposal


def tariff(
    gpu_type: str = "h100", vnd_per_gpu_hour: int = 60_000, *, valid_from: date | None = None, cluster: str = ""
) -> Tariff:
    """A tariff that two people decided, from today on unless told otherwise (only the first of a type may)."""
    proposal = approved(
        tariff_propose(
            gpu_type=gpu_type,
            cluster=cluster,
            vnd_per_gpu_hour=vnd_per_gpu_hour,
            valid_from=valid_from or centre_date(now()),
            reason="test",
            person=decider("a"),
        )
    )
    return Tariff.objects.get(proposal=proposal)


QUESTIONS = [
    {"key": "q1", "label_vi": "Mô tả dữ liệu", "label_en": "Describe the data", "kind": "text", "max": 500},
    {"key": "q2", "label_vi": "Số người", "label_en": "People", "kind": "number", "required": False, "max": 1_000},
    {
        "key": "q3",
        "label_vi": "Giai đoạn",
        "label_en": "Stage",
        "kind": "choice",
        "choices": [
            {"value": "idea", "label_vi": "Ý tưởng", "label_en": "Idea"},
            {"value": "product", "label_vi": "Sản phẩm", "label_en": "Product"},
        ],
    },
    {"key": "q4", "label_vi": "Kế hoạch (PDF)", "label_en": "Plan (PDF)", "kind": "file", "required": False},
]
CRITERIA = [
    CriterionGiven("merit", "Giá trị khoa học", "Scientific merit", 3, 5),
    CriterionGiven("impact", "Tác động", "Impact", 2, 5),
    CriterionGiven("team", "Năng lực nhóm", "Team", 1, 5),
]


def call(
    of: Programme,
    slug: str = "dot-1",
    *,
    opens_at: datetime | None = None,
    closes_at: datetime | None = None,
    reviews_needed: int = 2,
) -> Call:
    """An open call with one question of each kind and three criteria, for thirty days unless told otherwise."""
    made = call_create(
        programme=of,
        title=f"Đợt {slug}",
        slug=slug,
        opens_at=opens_at or now(),
        closes_at=closes_at or now() + timedelta(days=30),
        reviews_needed=reviews_needed,
        actor="test",
    )
    questions_publish(call=made, questions=QUESTIONS, actor="test")
    criteria_set(call=made, criteria=CRITERIA, actor="test")
    return made


def award(
    project: Project,
    of: Programme,
    *,
    gpu_seconds: int = 100 * HOUR,
    gpu_type: str = "h100",
    cluster: str = "local",
    starts_on: date = STARTS,
    ends_on: date = ENDS,
) -> Allocation:
    return voucher_award(
        organisation=project.organisation,
        project=project,
        programme=of,
        gpu_type=gpu_type,
        amount_gpu_seconds=gpu_seconds,
        cluster=cluster,
        starts_on=starts_on,
        ends_on=ends_on,
        actor="test",
    )


def voucher_with_money(
    project: Project, *, slug: str = "natif-tien", vnd: int = 100_000_000, terms: Terms | None = None
) -> Voucher:
    """100 H100-hours at 60,000 VND: 60 now, 40 with an accepted report, of a programme with money."""
    if not Tariff.objects.filter(gpu_type="h100").exists():
        tariff("h100", 60_000)
    allocation = voucher_award(
        organisation=project.organisation,
        project=project,
        programme=programme(slug, h200_hours=1_000, vnd=vnd, terms=terms),
        gpu_type="h100",
        amount_gpu_seconds=100 * HOUR,
        cluster="local",
        starts_on=STARTS,
        ends_on=date(2098, 12, 31),
        actor="test",
        tranches=[TranchePlan(60 * HOUR, STARTS), TranchePlan(40 * HOUR, needs_report=True)],
    )
    return allocation.voucher


def second_allocation(first: Allocation, *, gpu_seconds: int) -> Allocation:
    """Another allocation of the same voucher, from what the voucher still holds."""
    return allocation_create(
        voucher=first.voucher,
        project=first.project,
        cluster=first.cluster,
        amount_gpu_seconds=gpu_seconds,
        starts_on=first.starts_on,
        ends_on=first.ends_on,
        actor="test",
    )


def hold(allocation: Allocation, name: str, gpu_seconds: int, *, at: datetime = NOON) -> UUID:
    hold_id = named(f"hold {name}")
    hold_take(
        allocation_id=allocation.pk,
        hold_id=hold_id,
        amount_gpu_seconds=gpu_seconds,
        event_at=at,
        reason=f"job {name}",
        actor="test",
    )
    return hold_id


def charge_of(
    allocation: Allocation,
    name: str,
    gpu_seconds: int,
    *,
    hold_id: UUID | None = None,
    next_hold: tuple[UUID, int] | None = None,
) -> Charge:
    return Charge(
        charge_id=named(f"charge {name}"),
        allocation_id=allocation.pk,
        gpu_seconds=gpu_seconds,
        hold_id=hold_id,
        event_at=NOON,
        reason=f"job {name}",
        next_hold=next_hold,
    )


def charge(
    allocation: Allocation,
    name: str,
    gpu_seconds: int,
    *,
    hold_id: UUID | None = None,
    next_hold: tuple[UUID, int] | None = None,
) -> BookedCharge:
    one = charge_of(allocation, name, gpu_seconds, hold_id=hold_id, next_hold=next_hold)
    return charges_book(charges=[one], actor="test")[0]


def balance(allocation: Allocation) -> AllocationBalance:
    return allocation_balances([allocation.pk])[allocation.pk]


def limit(allocation: Allocation) -> int:
    return allocation_limits([allocation.pk])[allocation.pk]


def transfers() -> int:
    return Transfer.objects.count()


def suspend(allocation: Allocation) -> None:
    allocation_suspend(allocation_id=allocation.pk, reason="audit", actor="test")
