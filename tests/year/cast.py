"""Who plays in the year: eight organisations with a story each, a crowd on the ordinary way, the centre's people.

An and Bình operate, Chi approves, Dũng, Hà, Khoa and Mây review.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from portal.people.models import CentreRole, Membership, Organisation, Project, User
from quotas.allocations.models import Allocation, Voucher
from quotas.applications.models import Application
from tests import factories

Kind = Organisation.Kind
STARTS, ENDS = date(2027, 3, 15), date(2028, 2, 29)


@dataclass(frozen=True)
class Plan:
    """What an organisation asks for and gets in the first call, in GPU-hours. `given`: from the first day; the rest on
    a day (`rest_on`) or with an accepted report. `awarded` 0: refused."""

    slug: str
    name: str
    kind: Kind
    asked: int
    awarded: int
    gpu_type: str = "h100"
    ends_on: date = ENDS
    given: int = 0
    rest_on: date | None = None
    open_data: str = "yes"
    is_late: bool = False  # applies in the second call only


STORIES = [
    Plan("sao-mai", "Công ty Sao Mai AI", Kind.STARTUP, asked=1_200, awarded=1_000),  # above the limit of three people
    Plan("hong-lam", "Đại học Hồng Lam", Kind.UNIVERSITY, asked=400, awarded=400, given=150, rest_on=date(2027, 6, 1)),
    Plan("y-ha-noi", "Viện Y Hà Nội", Kind.INSTITUTE, asked=300, awarded=300, given=100, open_data="no"),
    Plan("mien-trung", "Công ty Miền Trung", Kind.SME, asked=250, awarded=247),
    Plan("dong-nai", "Sở Giao thông Đồng Nai", Kind.PUBLIC_BODY, asked=120, awarded=120, ends_on=date(2027, 8, 31)),
    Plan("can-tho", "Công ty Cần Thơ AI", Kind.STARTUP, asked=200, awarded=200),
    Plan("lam-dong", "Nông sản Lâm Đồng", Kind.SME, asked=500, awarded=0),
    Plan("ve-tinh", "Đại học Vệ tinh", Kind.UNIVERSITY, asked=90, awarded=80, gpu_type="h200", is_late=True),
]
(SAO_MAI, HONG_LAM, Y_HA_NOI, MIEN_TRUNG, DONG_NAI, CAN_THO, LAM_DONG, VE_TINH) = (plan.slug for plan in STORIES)


def crowd(count: int, dice: random.Random) -> Iterator[Plan]:
    """Organisations of every kind that apply once, get the whole or a part, and use some of it."""
    for number in range(count):
        asked = dice.randrange(20, 400)
        yield Plan(
            f"to-chuc-{number}",
            f"Tổ chức {number}",
            dice.choice(list(Kind)),
            asked=asked,
            awarded=dice.choice([0, asked, asked, dice.randrange(1, asked + 1)]),
            gpu_type=dice.choice(["h100", "h100", "h200"]),
            ends_on=dice.choice([date(2027, 11, 30), date(2027, 12, 31), ENDS]),
            open_data=dice.choice(["yes", "no"]),
        )


@dataclass
class Player:
    """An organisation in the story, with its people and what it has come to."""

    plan: Plan
    organisation: Organisation
    manager: User
    writer: User
    researcher: User
    application: Application | None = None
    vouchers: list[Voucher] = field(default_factory=list)

    @property
    def voucher(self) -> Voucher:
        """The first one, as it is now."""
        return Voucher.objects.select_related("organisation", "programme").get(pk=self.vouchers[0].pk)

    @property
    def allocation(self) -> Allocation:
        return self.vouchers[0].allocations.select_related("project").earliest("pk")

    @property
    def project(self) -> Project:
        return self.allocation.project


@dataclass
class Centre:
    an: User
    binh: User
    chi: User
    reviewers: list[User]


def player_of(plan: Plan, *, unix_account: str) -> Player:
    organisation = factories.organisation(plan.name, plan.slug, kind=plan.kind)
    people = [
        factories.person(f"{name}@{plan.slug}.example", f"{title} {plan.name}")
        for name, title in (("quan-ly", "Quản lý"), ("soan", "Người soạn"))
    ]
    researcher = factories.person(f"nc@{plan.slug}.example", f"Nghiên cứu viên {plan.name}", unix_account=unix_account)
    for person, role in (
        (people[0], Membership.Role.MANAGER),
        (people[1], Membership.Role.MEMBER),
        (researcher, Membership.Role.MEMBER),
    ):
        factories.member(person, organisation, role)
    return Player(plan, organisation, *people, researcher)


def centre_people() -> Centre:
    def person(name: str, full_name: str, role: CentreRole.Role) -> User:
        return factories.person(f"{name}@centre.example", full_name, centre_roles=(role,))

    role = CentreRole.Role
    return Centre(
        an=person("an", "Hoàng Văn An", role.OPERATOR),
        binh=person("binh", "Đặng Thanh Bình", role.OPERATOR),
        chi=person("chi", "Ngô Linh Chi", role.APPROVER),
        reviewers=[
            person(name, full_name, role.REVIEWER)
            for name, full_name in (("dung", "Lý Dũng"), ("ha", "Võ Hà"), ("khoa", "Tạ Khoa"), ("may", "Hồ Mây"))
        ],
    )
