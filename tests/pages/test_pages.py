"""Every page that people work on, in a real browser: axe finds nothing, and nothing is wider than the window.

A page is an address in PAGES, under the person who looks at it. It is looked at on a desk and on a phone. By turns it
is in Vietnamese on a light ground or in English on a dark one, and axe reads it at one of the two widths; with SOAK=1
in both and at both. A scheme and a language have nothing to do with each other: two of four pairs show both of each.
"""

import os
from collections.abc import Sequence

import pytest
from playwright.sync_api import Page

from tests.browsers import HEIGHT, PHONE, WIDE, Desk, faults, shoot
from tests.pages.world import World, at_work

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PAGES = {
    "anonymous": """
        / /accounts/login/ /accounts/password/reset/ /results/ /results/{result.voucher.number}/ /estimator/
        /programmes/ /programmes/{programme.slug}/ /programmes/calls/{call.slug}/ /programmes/tariffs/ /nation/
    """,
    "organisation_manager": """
        / /applications/ /applications/new/ /applications/{empty.pk}/edit/project/
        /applications/{draft.pk}/edit/project/ /applications/{draft.pk}/edit/model/ /applications/{draft.pk}/edit/risk/
        /applications/{draft.pk}/edit/openness/ /applications/{draft.pk}/edit/questions/
        /applications/{draft.pk}/edit/attachments/ /applications/{draft.pk}/edit/request/
        /applications/{draft.pk}/edit/review/ /applications/{empty.pk}/edit/review/
        /applications/{returned.pk}/edit/project/ /applications/{returned.pk}/ /applications/{reviewed.pk}/
        /applications/{decided.pk}/
        /vouchers/ /vouchers/{voucher.number}/ /vouchers/{voucher.number}/allocate/
        /vouchers/{voucher.number}/take-back/ /vouchers/{voucher.number}/change/ /vouchers/{voucher.number}/report/
        /allocations/ /allocations/{allocation.pk}/ /allocations/{allocation.pk}/transfers/?figure=consumed
        /statements/organisations/{organisation.slug}/ /statements/{statement.number}/
        /organisations/{organisation.slug}/ /projects/{project.slug}/ /capacity/{cluster.name}/
        /reports/{organisation.slug}/throughput/?from={ran_on}&to={ran_on}
    """,
    "reviewer": """
        / /reviews/ /reviews/mine/{review_new.pk}/ /reviews/mine/{review_open.pk}/ /reviews/mine/{review_done.pk}/
        /reviews/people/{reviewer.pk}/
    """,
    "operator": """
        /nation/whole/?from={ran_on}&to={ran_on} /reports/energy/factors/
        / /reviews/queue/ /reviews/calls/ /reviews/calls/{call.slug}/ /reviews/calls/{call.slug}/reviewers/
        /reviews/applications/{reviewed.pk}/ /reviews/applications/{proposed.pk}/ /reviews/applications/{decided.pk}/
        /applications/{waiting.pk}/ /applications/{waiting.pk}/return/
        /proposals/ /proposals/history/ /proposals/interests/ /proposals/{proposal.pk}/
        /programmes/ /programmes/new/ /programmes/{programme.slug}/ /programmes/{programme.slug}/edit/
        /programmes/{programme.slug}/rules/ /programmes/{programme.slug}/budget/
        /programmes/{programme.slug}/calls/new/ /programmes/calls/{call.slug}/ /programmes/calls/{call.slug}/edit/
        /programmes/calls/{call.slug}/questions/ /programmes/calls/{call.slug}/criteria/
        /programmes/tariffs/ /programmes/tariffs/new/
        /vouchers/ /vouchers/{voucher.number}/ /vouchers/{voucher.number}/propose-clawback/
        /vouchers/{voucher.number}/accept-report/ /vouchers/{voucher.number}/propose-refund/
        /statements/ /statements/months/{month}/ /statements/months/{month.next}/ /statements/{statement.number}/
        /organisations/{organisation.slug}/ /people/ /audit/ /accounts/password/change/
        /clusters/ /clusters/{cluster.name}/ /settlement/ /clusters/new/ /clusters/{cluster.name}/edit/
        /clusters/{cluster.name}/retire/ /clusters/{cluster.name}/rules/ /clusters/{cluster.name}/rules/cpu/
        /allocations/moves/{move.pk}/cancel/
        /data-sets/ /data-sets/new/ /data-sets/{data_set.slug}/ /data-sets/{data_set.slug}/edit/
        /data-sets/{data_set.slug}/withdraw/ /data-sets/{data_set_draft.slug}/
        /presets/ /presets/lora/ /presets/lora/2/?shape=2x8&place=conda /presets/lora/compare/ /presets/lora/edit/
        /presets/lora/2/offer/ /presets/lora/withdraw/ /presets/import/ /presets/new/
        /clusters/{cluster.name}/repair/?kind=association&object=sl-mo-hinh/tuan/h100
        /clusters/{cluster.name}/repair/?kind=qos&object=mo-hinh-h100-1a2b3c /jobs/{job_waiting.pk}/
        /watching/ /watching/{finding.pk}/ /watching/{sick.pk}/ /watching/measuring/ /watching/rules/
    """,
    "second_operator": "/reviews/applications/{proposed.pk}/ /reviews/applications/{waiting.pk}/",
    "researcher": """
        /jobs/{job_running.pk}/ /jobs/{job_ended.pk}/ /jobs/{job_waiting.pk}/ /data-sets/ /data-sets/{data_set.slug}/
        /jobs/new/?allocation={job_running.allocation_id} /profile/tokens/ /jobs/presets/lora/copy/
        /reports/projects/{project.slug}/jobs/?from={ran_on}&to={ran_on} /projects/{project.slug}/
    """,
    "auditor": "/reviews/calls/{call.slug}/reviewers/ /proposals/{proposal.pk}/ /statements/",
}
SOAK = "SOAK" in os.environ
CAST = [*PAGES, "other_organisation", "organisation_member", "organisation", "project"]


@pytest.fixture
def world(request: pytest.FixtureRequest) -> World:
    return at_work(World(**{name: request.getfixturevalue(name) for name in CAST if name != "anonymous"}))


def test_pages_are_accessible_and_fit(desk: Desk, world: World) -> None:
    found = []
    for role, addresses in PAGES.items():
        windows = {
            language: desk(getattr(world, role, None), language=language, scheme=scheme)
            for language, scheme in (("vi", "light"), ("en", "dark"))
        }
        for number, address in enumerate(addresses.split()):
            for language in windows if SOAK else [list(windows)[number % 2]]:
                read_on = (WIDE, PHONE) if SOAK else ((WIDE, PHONE)[number // 2 % 2],)
                name = f"{role}-{number:02d}-{language}"
                found += looked_at(windows[language], address.format(**vars(world)), name, read_on)
    assert found == []


def looked_at(page: Page, address: str, name: str, read_on: Sequence[int]) -> list[str]:
    """What is wrong with a page on a desk and on a phone: its window is made narrow, the page is not loaded again.

    It has to fit both; `read_on`: the widths at which axe reads it.
    """
    page.set_viewport_size({"width": WIDE, "height": HEIGHT})
    answer = page.goto(address)
    if answer is None or answer.status != 200:
        return [f"{address}: {answer and answer.status}"]
    wrong = faults(page, is_read=WIDE in read_on)
    shoot(page, f"{name}-{WIDE}")
    page.set_viewport_size({"width": PHONE, "height": HEIGHT})
    wrong += faults(page, is_read=PHONE in read_on)
    shoot(page, f"{name}-{PHONE}")
    return wrong
