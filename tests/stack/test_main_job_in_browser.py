"""The main job by hand: every person in a browser of their own, from the application to the figure in the report."""

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.stack.conftest import Stack

pytestmark = [pytest.mark.stack, pytest.mark.browser]

TITLE = "Trợ lý y khoa"
JOB_ENDS_MS = 180_000
REPORT_MS = 60_000

Desk = Callable[[str], Page]


@pytest.fixture
def desk(stack: Stack, browser: Browser) -> Iterator[Desk]:
    """A logged-in page of a demo person, in English; every page is closed and had nothing to complain about."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def sit(name: str) -> Page:
        context = browser.new_context(base_url=stack.demo["url"], viewport={"width": 1280, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        account = next(row for row in stack.demo["accounts"] if row["email"].startswith(f"{name}@"))
        page.goto("/accounts/login/")
        page.fill("input[name=login]", account["email"])
        page.fill("input[name=password]", account["password"])
        page.press("input[name=password]", "Enter")
        page.wait_for_url("**/")
        # Not before: logging in takes up the person's own language.
        context.add_cookies([{"name": "django_language", "value": "en", "url": stack.demo["url"]}])
        return page

    yield sit
    for context in contexts:
        context.close()
    assert complaints == []


def accessible(page: Page) -> None:
    page.wait_for_load_state("networkidle")
    findings = [
        (finding["id"], [node["html"][:150] for node in finding["nodes"]])
        for finding in Axe().run(page).response["violations"]
        if finding["impact"] in ("serious", "critical")
    ]
    assert findings == [], page.url


APPLY = """
from datetime import timedelta
from portal.clock import centre_date, now
from portal.people.models import Organisation, User
from quotas.applications.services import application_submit
from quotas.programmes.models import Programme
today = centre_date(now())
made = application_submit(
    person=User.objects.get(email="mai@demo.example"), organisation=Organisation.objects.get(slug="nom-ai"),
    programme=Programme.objects.get(imported=False), project_title="%s",
    purpose="Hỏi đáp y khoa bằng tiếng Việt; công bố dữ liệu và trọng số.", gpu_type="h100", gpu_hours=20,
    starts_on=today, ends_on=today + timedelta(days=30))
print(made.pk)
"""


def applied() -> int:
    """An application of Mai's. How one is written in a browser, step by step, is in tests/quotas/applications."""
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", APPLY % TITLE],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


def test_the_main_job_in_the_browser(desk: Desk) -> None:
    mai = desk("mai")
    application = applied()
    mai.goto(f"/applications/{application}/")
    accessible(mai)

    oanh = desk("oanh")
    oanh.goto("/reviews/queue/")
    accessible(oanh)
    oanh.get_by_role("link", name=TITLE).first.click()
    oanh.locator("textarea[name=reason]").fill("Sản phẩm ưu tiên, kế hoạch rõ.")
    accessible(oanh)
    oanh.get_by_role("button", name="Propose").click()
    expect(oanh.get_by_text("You proposed this decision yourself")).to_be_visible()
    expect(oanh.get_by_role("button", name="Confirm", exact=True)).to_have_count(0)

    quan = desk("quan")
    quan.goto(f"/reviews/applications/{application}/")
    quan.get_by_role("button", name="Confirm", exact=True).click()
    quan.get_by_role("button", name="Confirm the decision").click()
    expect(quan.get_by_text("Confirmed").first).to_be_visible()

    # Mai applied, so she leads the project and has a unix account: she submits its first job herself.
    mai.goto("/jobs/new/")
    mai.locator("button[value='preset=hello-gpu']").click()
    values = mai.locator("select[name=allocation] option").evaluate_all("options => options.map(one => one.value)")
    mai.locator("select[name=allocation]").select_option(values[-1])
    mai.locator("input[name=name]").fill("first")
    mai.locator("input[name=time_limit]").fill("2m")
    expect(mai.locator("#job-preview")).to_contain_text("GPU-hours")
    accessible(mai)
    mai.get_by_role("button", name="Submit the job").click()
    expect(mai.locator("#job-live [role=status]")).to_contain_text("Completed", timeout=JOB_ENDS_MS)
    accessible(mai)

    mai.goto("/reports/nom-ai/")
    expect(mai.get_by_role("heading", name="Nôm AI")).to_be_visible()
    accessible(mai)
    expect(mai.locator("table").first).to_be_visible(timeout=REPORT_MS)
