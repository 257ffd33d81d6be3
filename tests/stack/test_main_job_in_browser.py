"""The main job by hand: every person in a browser of their own, from an empty application to the figure in the report
and the page of the month. Statements of a month that is over are in tests/quotas/statements: this stack is too young.
"""

import re
import time
from datetime import timedelta

import pytest
from playwright.sync_api import Locator, Page, expect

from portal.clock import centre_date, now
from tests.browsers import check
from tests.portal.files.making import pdf
from tests.stack.conftest import Desk, wait_for

pytestmark = [pytest.mark.stack, pytest.mark.browser]

CALL = "ai-2026-1"
CLUSTER = "local"
ASKED, AWARDED, TAKEN_BACK = 24, 20, 5  # GPU-hours
JOB_ENDS_MS = 180_000
FOLLOWS_MS = 60_000  # the cluster's worker, some cycles
PLAN = {"name": "Kế hoạch.pdf", "mimeType": "application/pdf", "buffer": pdf(text="Plan")}


def answers(title: str) -> dict[str, dict[str, str]]:
    """What is written at each step, as a person types it."""
    today = centre_date(now())
    return {
        "project": {
            "project_title": title,
            "purpose": "Hỏi đáp y khoa bằng tiếng Việt; công bố dữ liệu và trọng số.",
            "sector": "health",
            "product_group": "assistant",
        },
        "model": {
            "base_model": "Llama 3.1 8B",
            "base_model_licence": "llama",
            "parameters": "8 tỷ",
            "tokens": "2B",
            "precision": "bf16",
            "data_sets": "Sách giáo khoa y, 2 GB, CC BY",
        },
        "risk": {
            "risk_manipulates": "no",
            "risk_scores_people": "no",
            "risk_forbidden_biometrics": "no",
            "risk_product_safety": "no",
            "risk_area": "none",
            "risk_people_told": "yes",
            "risk_general_purpose": "no",
        },
        "openness": {"open_use": "yes", "open_methods": "yes", "open_data": "no"},
        "questions": {"q.q1": "Bác sĩ tuyến huyện.", "q.q2": "6", "q.q3": "prototype"},
        "attachments": {},
        "request": {
            "gpu_type": "h100",
            "gpu_hours": str(ASKED),
            "starts_on": today.isoformat(),
            "ends_on": (today + timedelta(days=60)).isoformat(),
        },
    }


def answer(page: Page, key: str, text: str) -> None:
    control = page.locator(f"[name='{key}']")
    kind = control.first.evaluate("one => one.type")
    if kind == "radio":
        page.locator(f"[name='{key}'][value='{text}']").check()
    elif kind == "select-one":
        control.select_option(text)
    else:
        control.fill(text)


def applied(mai: Page, title: str) -> int:
    """Writes an application step by step and submits it; its number."""
    mai.goto("/applications/new/")
    mai.get_by_role("button", name="Begin the draft").click()
    mai.wait_for_url("**/edit/project/")
    number = int(mai.url.split("/")[4])
    mai.get_by_label("Project title").fill(title)
    expect(mai.locator("#field-project_title .said")).to_contain_text("Saved at")
    mai.reload()
    expect(mai.get_by_label("Project title")).to_have_value(title)
    for step, texts in answers(title).items():
        mai.wait_for_url(f"**/edit/{step}/")
        for key, text in texts.items():
            answer(mai, key, text)
        if step == "attachments":
            mai.locator("input[type=file]").set_input_files(PLAN)
            mai.get_by_role("button", name="Add the file").click()
            expect(mai.get_by_role("link", name=PLAN["name"])).to_be_visible()
        mai.get_by_role("button", name="Continue").click()
    mai.get_by_role("button", name="Submit the application").click()
    expect(mai.get_by_text("The application was submitted.")).to_be_visible()
    check(mai)
    return number


def assigned(oanh: Page, title: str, names: list[str]) -> list[str]:
    """Brings reviewers into the call and gives them the application; the addresses of their reviews."""
    matrix = f"/reviews/calls/{CALL}/reviewers/"
    oanh.goto(matrix)
    row = oanh.get_by_role("row").filter(has_text=title)
    for name in names:
        joins = oanh.locator("select[name=reviewer]:not([aria-label])")
        if joins.count() and joins.get_by_role("option", name=name).count():
            joins.select_option(label=name)
            oanh.get_by_role("button", name="Add", exact=True).click()
            oanh.wait_for_url(f"**{matrix}")
        row.locator("select[name=reviewer]").select_option(label=name)
        row.get_by_role("button", name="Assign").click()
        expect(row.get_by_role("cell").nth(1)).to_contain_text(name)
    check(oanh)
    forms = row.locator("[action$='/take-back/']").evaluate_all("all => all.map(one => one.getAttribute('action'))")
    return [f"/reviews/mine/{address.split('/')[5]}/" for address in forms]


def reviewed(page: Page, address: str, score: str) -> None:
    page.goto("/reviews/")
    page.locator(f"a[href='{address}']").click()
    page.get_by_role("button", name="I have no conflict of interest").click()
    for control in page.locator("select[name^=score_]").all():
        control.select_option(score)
    for control in page.locator("textarea[name^=reason_]").all():
        control.fill("Rõ ràng, làm được.")
    expect(page.locator("#review-saved")).to_contain_text("Saved at")
    check(page)
    page.get_by_role("button", name="Submit the review").click()
    expect(page.get_by_text("Your review is in.")).to_be_visible()


def decided(oanh: Page, quan: Page, title: str, number: int) -> None:
    """One proposes a part of what was asked for, from the ranking; another confirms."""
    oanh.goto(f"/reviews/calls/{CALL}/")
    row = oanh.get_by_role("row").filter(has_text=title)
    expect(row).to_contain_text("2 / 2")
    check(oanh)
    row.get_by_role("link", name=title).click()
    oanh.locator("input[name=awarded_gpu_hours]").fill(str(AWARDED))
    oanh.locator("form[action$='/propose/'] textarea[name=reason]").fill("Sản phẩm ưu tiên, kế hoạch rõ.")
    check(oanh)
    oanh.get_by_role("button", name="Propose", exact=True).click()
    expect(oanh.get_by_text("You proposed this decision yourself")).to_be_visible()
    expect(oanh.get_by_role("button", name="Confirm", exact=True)).to_have_count(0)
    quan.goto("/reviews/queue/")
    check(quan)
    quan.goto(f"/reviews/applications/{number}/")
    quan.get_by_role("button", name="Confirm", exact=True).click()
    quan.get_by_role("button", name="Confirm the decision").click()
    expect(quan.get_by_text("The decision is confirmed.")).to_be_visible()


def figure(page: Page, label: str) -> Locator:
    return page.locator(".figure").filter(has=page.get_by_text(label, exact=True)).locator(".figure-value").first


def told_and_done(page: Page, verb: str, fields: dict[str, str]) -> None:
    """Fills in a verb of the voucher, reads what will happen, and does it."""
    page.get_by_role("link", name=verb).click()
    for name, text in fields.items():
        answer(page, name, text)
    page.get_by_role("button", name="See what will happen").click()
    expect(page.get_by_role("heading", name="What will happen")).to_be_visible()
    page.get_by_role("button", name=verb).click()


def given_to_another_project(mai: Page, title: str) -> tuple[str, str]:
    """Takes a part of the new voucher back from its project and gives it to an older one of the organisation; that
    project's slug, and the address of its new allocation.
    """
    mai.goto("/vouchers/")
    mai.locator("main tbody a").first.click()  # the latest
    expect(figure(mai, "Awarded")).to_have_text(str(AWARDED))
    check(mai)
    address = mai.url
    mai.get_by_role("link", name="Take back from a project").click()
    source = str(mai.get_by_role("option", name=title).get_attribute("value"))
    mai.goto(address)
    fields = {"source": source, "gpu_hours": str(TAKEN_BACK), "reason": "Dự án kia cần trước."}
    told_and_done(mai, "Take back from a project", fields)
    mai.wait_for_url(address)
    # It arrives once the limit in Slurm was lowered and read back.
    free = figure(mai, "of it, with no project")
    assert wait_for(lambda: mai.reload() and free.count(), FOLLOWS_MS / 1000), "it never came back to the voucher"
    expect(free).to_have_text(str(TAKEN_BACK))
    mai.goto(f"{address}allocate/")
    older = mai.locator("select[name=project] option").filter(has_text="7B").first
    project = str(older.get_attribute("value"))
    mai.goto(address)
    told_and_done(mai, "Give to a project", {"project": project, "gpu_hours": str(TAKEN_BACK)})
    mai.wait_for_url(address)
    row = mai.get_by_role("row").filter(has_text="7B")
    expect(row).to_contain_text(str(TAKEN_BACK))
    links = row.get_by_role("link").evaluate_all("all => all.map(one => one.getAttribute('href'))")
    return links[0].split("/")[2], links[1]


def run(long: Page, allocation: str) -> int:
    """Submits hello-gpu on the allocation and waits for its charge, in GPU-seconds."""
    long.goto("/jobs/new/")
    long.locator("button[value='preset=hello-gpu']").click()
    long.locator("select[name=allocation]").select_option(allocation.split("/")[2])
    long.locator("input[name=name]").fill("first")
    long.locator("input[name=time_limit]").fill("2m")
    expect(long.locator("#job-preview")).to_contain_text("GPU-hours")
    check(long)
    long.get_by_role("button", name="Submit the job").click()
    state = long.get_by_role("region", name="State").get_by_role("status")
    expect(state).to_contain_text("Completed", timeout=JOB_ENDS_MS)
    check(long)
    return int(wait_for(lambda: consumed(long, allocation), FOLLOWS_MS / 1000) or 0)


def consumed(page: Page, allocation: str) -> int:
    """What was charged to an allocation, in GPU-seconds, as the page of its transfers adds it up."""
    page.goto(f"{allocation}transfers/?figure=consumed")
    return number_in(page.locator(".lead").inner_text().rpartition("(")[2])


def number_in(text: str) -> int:
    return int(re.sub(r"\D", "", text) or 0)


def consumed_by(page: Page, project: str) -> int:
    """What was charged to all allocations of a project, in GPU-seconds."""
    page.goto(f"/allocations/projects/{project}/card/")
    links = page.locator("tbody a[href^='/allocations/']")
    return sum(consumed(page, address) for address in links.evaluate_all("all => all.map(one => one.pathname)"))


def reported(page: Page, project: str) -> int:
    """What the report says that a project ever used, in GPU-seconds."""
    today = centre_date(now())
    page.goto(f"/reports/nom-ai/?from={today - timedelta(days=366)}&to={today}")
    rows = page.get_by_role("row").filter(has=page.locator(f"a[href='/projects/{project}/']"))
    cells = rows.locator("td.num").evaluate_all("all => all.map(one => one.title)")
    return sum(number_in(text) for text in cells)


def test_the_main_job_in_the_browser(desk: Desk) -> None:
    title = f"Trợ lý y khoa {time.time():.0f}"
    mai, oanh, quan = desk("mai"), desk("oanh"), desk("quan")
    number = applied(mai, title)
    reviews = assigned(oanh, title, ["Bùi Phương Thảo", "Lý Hoàng Phúc"])
    for name, address, score in zip(("thao", "phuc"), reviews, ("4", "3"), strict=True):
        reviewed(desk(name), address, score)
    decided(oanh, quan, title, number)

    mai.goto(f"/applications/{number}/")
    expect(figure(mai, "Awarded")).to_contain_text(str(AWARDED))
    project, allocation = given_to_another_project(mai, title)
    oanh.goto(f"/clusters/{CLUSTER}/")
    limit = oanh.get_by_role("row").filter(has=oanh.locator(f"a[href='{allocation}']"))
    expect(limit).to_contain_text("Yes", timeout=FOLLOWS_MS)
    expect(limit.get_by_role("cell").nth(1)).to_have_text(str(TAKEN_BACK))
    check(oanh)

    charged = run(desk("long"), allocation)
    assert charged > 0
    # Others of the project run jobs meanwhile, so what it used before is no fixed figure to add to.
    figures: list[int] = []
    assert wait_for(
        lambda: figures.extend((consumed_by(mai, project), reported(mai, project))) or figures[-2] == figures[-1],
        FOLLOWS_MS / 1000,
    ), figures
    assert figures[-1] >= charged
    check(mai)

    # The running month cannot be closed, by anybody.
    oanh.goto("/statements/")
    check(oanh)
    oanh.goto(f"/statements/months/{centre_date(now()):%Y-%m}/")
    expect(oanh.get_by_text("The month is not over")).to_be_visible()
    expect(oanh.locator("[data-dialog=issue]")).to_have_count(0)
