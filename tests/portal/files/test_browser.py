"""The upload in a real browser, with htmx and without any script; what it uploads is a PDF that it made itself."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from portal.files.models import StoredFile
from portal.people.models import User
from tests.browsers import PHONE, WIDE, Desk, check
from tests.portal.files.conftest import files_in
from tests.portal.files.making import pdf

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.portal.files.urls"),
]


AT_A_DESK, ON_A_PHONE, NO_SCRIPTS = (True, "light", WIDE), (True, "dark", PHONE), (False, "light", PHONE)


@pytest.fixture(params=[AT_A_DESK, ON_A_PHONE, NO_SCRIPTS], ids=["wide", "phone", "no scripts"])
def page(request: pytest.FixtureRequest, desk: Desk, researcher: User) -> Page:
    scripts, scheme, width = request.param
    page = desk(researcher, scripts=scripts, scheme=scheme, width=width)
    page.scripts = scripts  # type: ignore[attr-defined]
    return page


@pytest.fixture
def printed(browser: Browser, tmp_path: Path) -> Path:
    """A PDF as this browser prints one."""
    path = tmp_path / "Báo cáo cuối kỳ.pdf"
    context = browser.new_context()
    printer = context.new_page()
    printer.set_content("<h1>Báo cáo cuối kỳ</h1><p>Mô hình tiếng Việt đã được công bố.</p>")
    printer.pdf(path=path)
    context.close()
    return path


def look(page: Page, url: str) -> None:
    if page.scripts:  # type: ignore[attr-defined]
        check(page, url)
    else:
        page.goto(url)


def choose(page: Page, path: Path) -> None:
    page.get_by_label("Báo cáo cuối kỳ").set_input_files(path)
    if not page.scripts:  # type: ignore[attr-defined]
        page.get_by_role("button", name="Tải lên").click()


def test_one_file_is_uploaded_downloaded_replaced_and_removed(
    page: Page, printed: Path, media: Path, tmp_path: Path
) -> None:
    look(page, "/one/")
    choose(page, printed)
    link = page.get_by_role("link", name="Báo cáo cuối kỳ.pdf")
    expect(link).to_be_visible()
    assert files_in(media)[0].read_bytes() == printed.read_bytes()
    look(page, "/one/")
    with page.expect_download() as download:
        link.click()
    assert download.value.suggested_filename == "Báo cáo cuối kỳ.pdf"
    assert Path(download.value.path()).read_bytes() == printed.read_bytes()

    web_page = tmp_path / "giả.pdf"
    web_page.write_text("<html><script>alert(1)</script></html>")
    choose(page, web_page)
    expect(page.get_by_text("Đây không phải là tệp PDF")).to_be_visible()
    expect(link).to_be_visible()
    assert StoredFile.objects.count() == 1

    page.get_by_role("button", name="Gỡ").click()
    expect(link).to_have_count(0)
    assert not StoredFile.objects.exists()


@pytest.mark.parametrize("page", [ON_A_PHONE, NO_SCRIPTS], indirect=True, ids=["phone", "no scripts"])
def test_a_file_among_other_fields_goes_when_the_form_is_saved(page: Page, printed: Path, media: Path) -> None:
    look(page, "/among-others/")
    page.get_by_label("Tên").fill("Báo cáo")
    page.get_by_label("Báo cáo cuối kỳ").set_input_files(printed)
    page.get_by_role("button", name="Lưu").click()
    expect(page.get_by_role("link", name="Báo cáo cuối kỳ.pdf")).to_be_visible()
    look(page, "/among-others/")
    # Enter in a field saves the form and takes nothing away.
    page.get_by_label("Tên").fill("Báo cáo 2")
    page.get_by_label("Tên").press("Enter")
    page.wait_for_load_state()
    expect(page.get_by_role("link", name="Báo cáo cuối kỳ.pdf")).to_be_visible()
    page.get_by_label("Tên").fill("Báo cáo 3")
    page.locator("label.file-remove").click()
    expect(page.get_by_text("Sẽ gỡ khi bạn lưu")).to_be_visible()
    page.get_by_role("button", name="Lưu").click()
    expect(page.get_by_role("link", name="Báo cáo cuối kỳ.pdf")).to_have_count(0)
    assert not StoredFile.objects.exists()


@pytest.mark.parametrize("page", [AT_A_DESK, NO_SCRIPTS], indirect=True, ids=["wide", "no scripts"])
def test_a_file_that_is_too_large_is_not_even_sent(page: Page, media: Path, tmp_path: Path) -> None:
    large = tmp_path / "lớn.pdf"
    large.write_bytes(pdf(head=b"% " * 11 * 1024 * 1024))
    sent: list[str] = []
    page.goto("/one/")
    page.on("request", lambda request: sent.append(request.method))
    page.get_by_label("Báo cáo cuối kỳ").set_input_files(large)
    if page.scripts:  # type: ignore[attr-defined]
        expect(page.get_by_text("Tệp lớn hơn 20")).to_be_visible()
        assert "POST" not in sent
    else:
        page.get_by_role("button", name="Tải lên").click()
        expect(page.locator("#id_report_error")).to_contain_text("Tệp lớn hơn 20")
    assert files_in(media) == []
