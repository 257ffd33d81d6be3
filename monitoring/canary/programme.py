"""The demo's programme as a centre would have it: rules, budgets, prices that two people decided, an open call."""

from datetime import date, datetime, time, timedelta

from portal.clock import centre_date, centre_zone, now
from portal.people.models import User
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
from quotas.proposals.services import proposal_approve

ACTOR = "demo"
PROGRAMME = "ai-2026"
CALL = "ai-2026-1"
BUDGETS_GPU_SECONDS = {"h100": 200_000 * 3600, "h200": 20_000 * 3600}
BUDGET_VND = 15_000_000_000
TARIFFS_VND = {"h100": 60_000, "h200": 85_000}  # near what a GPU-hour costs in the market: 2.4 and 3.4 US dollars
TERMS = Terms(
    shares={"startup": 8_000, "sme": 5_000, "university": 10_000, "institute": 10_000, "public_body": 10_000},
    largest_award_gpu_hours=50_000,
    largest_award_vnd=3_000_000_000,
    three_person_above_vnd=1_000_000_000,
)
QUESTIONS: list[dict[str, object]] = [
    {
        "key": "q1",
        "label_vi": "Mô hình sẽ phục vụ ai, và họ dùng nó như thế nào?",
        "label_en": "Whom will the model serve, and how will they use it?",
        "kind": "text",
        "max": 2_000,
    },
    {
        "key": "q2",
        "label_vi": "Bao nhiêu người làm việc toàn thời gian cho dự án?",
        "label_en": "How many people work on the project full time?",
        "kind": "number",
        "max": 1_000,
    },
    {
        "key": "q3",
        "label_vi": "Dự án đang ở giai đoạn nào?",
        "label_en": "How far is the project?",
        "kind": "choice",
        "choices": [
            {"value": "idea", "label_vi": "Ý tưởng", "label_en": "An idea"},
            {"value": "prototype", "label_vi": "Bản thử nghiệm", "label_en": "A prototype"},
            {"value": "product", "label_vi": "Đã có người dùng", "label_en": "It has users"},
        ],
    },
    {
        "key": "q4",
        "label_vi": "Kế hoạch chi tiết",
        "label_en": "The plan in detail",
        "help_vi": "Tệp PDF, nếu có.",
        "help_en": "A PDF file, if there is one.",
        "kind": "file",
        "required": False,
    },
]
CRITERIA = [
    CriterionGiven("benefit", "Lợi ích cho người dùng Việt Nam", "Benefit for people in Vietnam", 3, 5),
    CriterionGiven("method", "Phương pháp và kế hoạch tính toán", "Method and computing plan", 3, 5),
    CriterionGiven("openness", "Cam kết mở", "Openness", 2, 5),
    CriterionGiven("team", "Năng lực của nhóm", "The team", 2, 5),
]


def programme_make() -> Programme:
    year = centre_date(now()).year
    return programme_create(
        name="Phiếu hỗ trợ tính toán AI 2026",
        slug=PROGRAMME,
        starts_on=date(year, 1, 1),
        ends_on=date(year + 2, 12, 31),
        budgets=BUDGETS_GPU_SECONDS,
        budget_vnd=BUDGET_VND,
        terms=TERMS,
        summary_vi="Giờ GPU cho doanh nghiệp, viện, trường xây dựng mô hình AI tiếng Việt mở.",
        summary_en="GPU-hours for firms, institutes and universities that build open Vietnamese AI models.",
        actor=ACTOR,
    )


def programme_furnish(*, programme: Programme, proposer: User, approver: User) -> None:
    """Prices and an open call, where they are missing."""
    today = centre_date(now())
    for gpu_type, vnd_per_gpu_hour in TARIFFS_VND.items():
        if not Tariff.objects.filter(gpu_type=gpu_type).exists():
            proposal = tariff_propose(
                gpu_type=gpu_type,
                vnd_per_gpu_hour=vnd_per_gpu_hour,
                valid_from=today,
                reason="Giá khởi điểm của trung tâm.",
                person=proposer,
            )
            proposal_approve(proposal=proposal, person=approver)
    if not Call.objects.filter(programme=programme).exists():
        end = datetime.combine(programme.ends_on + timedelta(days=1), time.min, tzinfo=centre_zone())
        call = call_create(
            programme=programme,
            title="Đợt 1: mô hình ngôn ngữ và trợ lý tiếng Việt",
            slug=CALL,
            opens_at=now(),
            closes_at=end,
            summary_vi="Tinh chỉnh hoặc huấn luyện mô hình tiếng Việt, công bố phương pháp và trọng số.",
            summary_en="Fine-tuning or training Vietnamese models whose methods and weights are published.",
            actor=proposer,
        )
        questions_publish(call=call, questions=QUESTIONS, actor=proposer)
        criteria_set(call=call, criteria=CRITERIA, actor=proposer)
