"""A job's page in the browser while the job runs: through web, Redis, the cluster's worker, sudo and the wrapper."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browsers import check, shoot
from tests.stack.conftest import Desk, Stack, submit

pytestmark = [pytest.mark.stack, pytest.mark.browser]

BEGINS_MS, ENDS_MS = 60_000, 120_000
LINES = 8
# A progress bar, a colour, a title for the terminal and a tag: all of them end as plain text.
SCRIPT = rf"""#!/bin/bash
printf '\033[32mgreen\033[0m \033]0;owned\007<b>bold</b>\n'
printf ' 10%%\r 50%%\r100%%\n'
cd "$SLURM_SUBMIT_DIR"
echo 'step,loss' > loss.csv
ln -s /etc/passwd passwd
for step in $(seq {LINES}); do echo "step $step of {LINES}"; echo "$step,0.$step" >> loss.csv; sleep 1; done
"""


def log_of(page: Page) -> str:
    return page.locator("#job-log pre").inner_text()


def steps_in(text: str) -> int:
    return max((int(number) for number in re.findall(rf"step (\d+) of {LINES}", text)), default=0)


def test_the_log_grows_while_the_job_runs_and_its_files_are_saved(stack: Stack, desk: Desk, tmp_path: Path) -> None:
    long = desk("long")
    long.goto("/jobs/new/")  # when it would start: asked of the real Slurm
    long.get_by_label("Project and allocation").select_option(index=1)
    expect(long.locator("#job-starts .chosen")).to_contain_text(re.compile("at once|in [0-9]"), timeout=BEGINS_MS)
    shoot(long, "job-form-start")
    address = submit(stack.visitor("long"), SCRIPT, time_limit="1h")
    long.goto(address)
    log = long.locator("#job-log pre")
    expect(log).to_contain_text("step 1 of", timeout=BEGINS_MS)
    first = log_of(long)
    assert first.startswith("green <b>bold</b>\n100%\nstep 1 of")
    assert steps_in(first) < LINES
    expect(long.locator("#job-live [role=status]").first).to_contain_text("Running")
    expect(long.locator(".meters")).to_contain_text("GPU-hours")
    shoot(long, "job-running")
    # It grows by itself, and whoever reads further up is left there.
    expect(log).to_contain_text(f"step {steps_in(first) + 3} of", timeout=BEGINS_MS)

    expect(long.locator("#job-live [role=status]").first).to_contain_text("Completed", timeout=ENDS_MS)
    expect(log).to_contain_text(f"step {LINES} of", timeout=BEGINS_MS)
    expect(long.locator("#job-log")).not_to_have_attribute("hx-trigger", re.compile("every"), timeout=ENDS_MS)
    expect(long.locator("#job-usage")).to_contain_text("CPU time")
    expect(long.locator("#job-usage")).to_contain_text("of all its CPUs", timeout=BEGINS_MS)

    expect(long.get_by_role("row").filter(has_text="passwd")).to_contain_text("not followed")
    row = long.get_by_role("row").filter(has_text="loss.csv")
    with long.expect_download() as saving:
        row.get_by_role("link", name="Download").click()
    saved = tmp_path / saving.value.suggested_filename
    saving.value.save_as(saved)
    assert saved.name == "loss.csv"
    assert saved.read_text().splitlines()[-1] == f"{LINES},0.{LINES}"
    check(long)
    shoot(long, "job-ended")
    long.get_by_role("link", name="Run again with this size").click()
    expect(long.locator("#id_time_limit")).to_have_value("15m")
    expect(long.locator("#id_script")).to_have_value(re.compile(f"of {LINES}"))
    expect(long.locator(".sized-list")).to_contain_text("1 hour → 15 minutes")


def test_somebody_elses_log_does_not_exist(stack: Stack) -> None:
    address = submit(stack.visitor("long"), "#!/bin/bash\necho secret\n")
    for name, status in (("long", 200), ("mai", 200)):
        assert stack.visitor(name).get(f"{address}log/")[0] == status
    other = next(
        account["email"].split("@")[0]
        for account in stack.demo["accounts"]
        if stack.visitor(account["email"].split("@")[0]).get(address)[0] == 404
    )
    for part in ("log/", "files/", "files/get/?p=loss.csv", "files/fetch/?p=loss.csv"):
        assert stack.visitor(other).get(address + part)[0] == 404
