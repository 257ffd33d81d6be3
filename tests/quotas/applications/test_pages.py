"""The pages of an application, from the draft to what the centre reads, as each person sees them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as portal_settings
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from portal.people.models import User
from quotas.applications.models import Answer, Application, Attachment
from quotas.applications.selectors import answer_values
from quotas.applications.services import answer_save, application_return, draft_submit
from quotas.programmes.models import Call
from tests.counting import QUERIES_MOST, queries_of
from tests.portal.files.making import upload
from tests.quotas.applications.conftest import complete_texts

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], Client]
HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def media(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = str(tmp_path / "media")


def english(client_of: ClientOf, person: User) -> Client:
    client = client_of(person)
    client.cookies[portal_settings.LANGUAGE_COOKIE_NAME] = "en"
    return client


def text(response: Any) -> str:
    return str(response.content.decode())


def page(application: Application, name: str, *more: object) -> str:
    return reverse(f"applications:{name}", args=[application.pk, *more])


def stamp_of(response: Any, key: str, name: str = "stamp") -> str:
    _before, _mark, after = text(response).partition(f'name="{name}-{key}" value="')
    return after.partition('"')[0]


# --- beginning --------------------------------------------------------------------------------------------------------


def test_a_manager_begins_a_draft_with_what_the_estimator_says(
    client_of: ClientOf, organisation_manager: User, call: Call
) -> None:
    client = client_of(organisation_manager)
    query = "?gpu_hours=1500&gpu_type=h100&parameters=8e9&tokens=50e9&precision=bf16"
    assert 'value="1500"' in text(client.get(reverse("applications:begin") + query))
    organisation = organisation_manager.memberships.get().organisation
    data = {"organisation": organisation.pk, "call": call.slug, "gpu_hours": "1500", "parameters": "8e9"}
    response = client.post(reverse("applications:begin"), data)
    made = Application.objects.get()
    assert response.headers["Location"] == page(made, "section", "project")
    assert answer_values(made) == {"gpu_hours": 1500, "parameters": 8_000_000_000}


def test_without_an_open_call_the_page_says_so(client_of: ClientOf, organisation_manager: User) -> None:
    assert "No call is open today" in text(english(client_of, organisation_manager).get(reverse("applications:begin")))


def test_the_request_leads_to_the_estimator_and_its_result_is_taken_over(
    client_of: ClientOf, organisation_manager: User, complete: Application
) -> None:
    client = client_of(organisation_manager)
    response = client.get(page(complete, "section", "request"))
    assert (
        "/estimator/?method=finetune&amp;parameters=8e9&amp;tokens=50e9&amp;gpu_type=h100&amp;precision=bf16"
        in text(response)
    )
    client.post(page(complete, "take_over"), {"gpu_hours": "1234", "gpu_type": "h100"})
    assert answer_values(complete)["gpu_hours"] == 1234


# --- saving while typing ----------------------------------------------------------------------------------------------


def test_a_field_saves_itself_and_says_when(
    client_of: ClientOf, organisation_manager: User, draft: Application
) -> None:
    client = english(client_of, organisation_manager)
    first = client.get(page(draft, "section", "project"))
    data = {"purpose": "Một mô hình", "stamp-purpose": stamp_of(first, "purpose")}
    response = client.post(page(draft, "field", "purpose"), data, headers=HTMX)
    assert "Saved at " in text(response)
    again = {"purpose": "Một mô hình mới", "stamp-purpose": stamp_of(response, "purpose")}
    assert client.post(page(draft, "field", "purpose"), again, headers=HTMX).status_code == 200
    assert answer_values(draft)["purpose"] == "Một mô hình mới"


def test_bad_input_is_said_beside_the_field_and_what_stood_there_stays(
    client_of: ClientOf, organisation_manager: User, complete: Application
) -> None:
    client = english(client_of, organisation_manager)
    data = {"gpu_hours": "0", "stamp-gpu_hours": "1.x"}
    response = client.post(page(complete, "field", "gpu_hours"), data, headers=HTMX)
    assert response.status_code == 422
    assert "Not saved." in text(response)
    assert answer_values(complete)["gpu_hours"] == 500


def test_two_who_edit_one_field_see_both_texts_and_choose(
    client_of: ClientOf, organisation_manager: User, draft: Application
) -> None:
    client = english(client_of, organisation_manager)
    stamp = stamp_of(client.get(page(draft, "section", "project")), "purpose")
    answer_save(person=organisation_manager, application=draft, key="purpose", text="Bản của người kia")
    data = {"purpose": "Bản của tôi", "stamp-purpose": stamp}
    refused = client.post(page(draft, "field", "purpose"), data, headers=HTMX)
    assert refused.status_code == 422
    assert "Bản của người kia" in text(refused)
    assert "Bản của tôi" in text(refused)
    # Typing on does not write over it unread; choosing does.
    assert client.post(page(draft, "field", "purpose"), data, headers=HTMX).status_code == 422
    # Leaving the box sends the same text again: what is shown stays as it is.
    seen = {"seen-purpose": stamp_of(refused, "purpose", "seen")}
    assert client.post(page(draft, "field", "purpose"), data | seen, headers=HTMX).status_code == 204
    assert client.post(page(draft, "field", "purpose"), data | {"over": "1"}, headers=HTMX).status_code == 200
    assert answer_values(draft)["purpose"] == "Bản của tôi"


def test_without_javascript_a_button_saves_what_can_be_saved(
    client_of: ClientOf, organisation_manager: User, draft: Application
) -> None:
    client = client_of(organisation_manager)
    first = client.get(page(draft, "section", "model"))
    texts = {"base_model": "Llama 3.1 8B", "parameters": "acht", "tokens": "50e9", "next": "risk"}
    stamps = {f"stamp-{key}": stamp_of(first, key) for key in ("base_model", "parameters", "tokens")}
    response = client.post(page(draft, "section", "model"), texts | stamps)
    assert response.status_code == 422
    assert 'value="acht"' in text(response)
    assert answer_values(draft) == {"base_model": "Llama 3.1 8B", "tokens": 50_000_000_000}


def test_a_field_that_was_not_touched_is_no_conflict(
    client_of: ClientOf, organisation_manager: User, draft: Application
) -> None:
    client = client_of(organisation_manager)
    first = client.get(page(draft, "section", "project"))
    answer_save(person=organisation_manager, application=draft, key="purpose", text="Người kia viết")
    data = {"purpose": "", "project_title": "Tên mới"}
    data |= {f"stamp-{key}": stamp_of(first, key) for key in ("purpose", "project_title")}
    assert client.post(page(draft, "section", "project"), data).status_code == 302
    assert answer_values(draft) == {"purpose": "Người kia viết", "project_title": "Tên mới"}


def test_without_javascript_sending_again_keeps_ones_own_text(
    client_of: ClientOf, organisation_manager: User, draft: Application
) -> None:
    client = client_of(organisation_manager)
    stamp = stamp_of(client.get(page(draft, "section", "project")), "purpose")
    answer_save(person=organisation_manager, application=draft, key="purpose", text="Của họ")
    refused = client.post(page(draft, "section", "project"), {"purpose": "Của tôi", "stamp-purpose": stamp})
    assert refused.status_code == 422
    again = {"purpose": "Của tôi", "stamp-purpose": stamp_of(refused, "purpose")}
    assert client.post(page(draft, "section", "project"), again).status_code == 302
    assert answer_values(draft)["purpose"] == "Của tôi"


# --- submitting -------------------------------------------------------------------------------------------------------


def test_a_double_click_submits_once_and_says_so(
    client_of: ClientOf, organisation_manager: User, complete: Application
) -> None:
    client = english(client_of, organisation_manager)
    assert "Everything is there." in text(client.get(page(complete, "section", "review")))
    client.post(page(complete, "submit"))
    assert "was submitted already" in text(client.post(page(complete, "submit"), follow=True))
    assert complete.submissions.count() == 1


def test_what_is_missing_is_listed_with_links(
    client_of: ClientOf, organisation_manager: User, draft: Application
) -> None:
    client = client_of(organisation_manager)
    listed = text(client.get(page(draft, "section", "review")))
    assert page(draft, "section", "request") + "#field-gpu_hours" in listed
    response = client.post(page(draft, "submit"), follow=True)
    assert response.redirect_chain[-1][0] == page(draft, "section", "review")
    draft.refresh_from_db()
    assert draft.state == "draft"


def test_a_manager_withdraws(client_of: ClientOf, organisation_manager: User, application: Application) -> None:
    client = client_of(organisation_manager)
    address = page(application, "withdraw")
    assert address in text(client.get(page(application, "detail")))
    client.post(address)
    assert Application.objects.get().state == "withdrawn"
    assert address not in text(client.get(page(application, "detail")))


def test_a_comment_stands_beside_its_field_and_is_resolved(
    client_of: ClientOf, organisation_manager: User, operator: User, submitted: Application
) -> None:
    centre = client_of(operator)
    assert page(submitted, "return") in text(centre.get(page(submitted, "detail")))
    data = {"reason": "Chưa rõ", "comment-purpose": "Viết rõ hơn"}
    assert centre.post(page(submitted, "return"), data).status_code == 302
    client = english(client_of, organisation_manager)
    assert "Viết rõ hơn" in text(client.get(page(submitted, "section", "project")))
    comment = submitted.comments.get()
    client.post(page(submitted, "resolve", comment.pk), headers=HTMX)
    comment.refresh_from_db()
    assert comment.resolved_by == organisation_manager
    # Without JavaScript the same button saves the section on its way.
    client.post(page(submitted, "section", "project"), {"resolve": str(comment.pk)})
    comment.refresh_from_db()
    assert comment.resolved_by is None


def test_the_page_of_a_returned_application_shows_what_changed(
    client_of: ClientOf, organisation_manager: User, operator: User, submitted: Application
) -> None:
    application_return(person=operator, application=submitted, comments={}, reason="Chưa rõ")
    answer_save(person=organisation_manager, application=submitted, key="data_sets", text="Báo chí, 9 GB")
    assert "Báo chí, 9 GB" not in text(client_of(operator).get(page(submitted, "detail")))
    draft_submit(person=organisation_manager, application=submitted)
    shown = text(client_of(operator).get(page(submitted, "detail")))
    assert "Báo chí, 9 GB" in shown
    assert "<del>Wikipedia tiếng Việt" in shown


def test_a_title_is_shown_as_text(client_of: ClientOf, operator: User, application: Application) -> None:
    Application.objects.update(project_title="<script>alert(1)</script>")
    Answer.objects.update(value="<script>alert(1)</script>")
    assert "<script>alert" not in text(client_of(operator).get(page(application, "detail")))


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_pdf_is_added_downloaded_and_taken_away(
    client_of: ClientOf, organisation_manager: User, outsider: User, operator: User, complete: Application
) -> None:
    client = client_of(organisation_manager)
    client.post(page(complete, "attach"), {"file": upload()})
    found = Attachment.objects.get()
    address = page(complete, "attachment", found.pk)
    download = client.get(address)
    assert b"".join(download.streaming_content).startswith(b"%PDF")
    assert download.headers["X-Content-Type-Options"] == "nosniff"
    assert download.headers["Content-Disposition"].startswith("attachment")
    assert [client_of(person).get(address).status_code for person in (outsider, operator)] == [404, 404]
    draft_submit(person=organisation_manager, application=complete)
    seen = client_of(operator).get(address)
    assert b"".join(seen.streaming_content)


@pytest.mark.parametrize("content", [b"<html></html>", b"MZ\x90\x00", b""])
def test_what_is_no_pdf_is_refused_beside_the_field(
    client_of: ClientOf, organisation_manager: User, draft: Application, content: bytes
) -> None:
    client = client_of(organisation_manager)
    response = client.post(page(draft, "attach"), {"file": upload(content, "plan.pdf")})
    assert response.status_code == 422
    assert "field-error" in text(response)
    assert not Attachment.objects.exists()


def test_a_question_is_answered_with_a_file(
    client_of: ClientOf, organisation_manager: User, draft: Application
) -> None:
    client = client_of(organisation_manager)
    response = client.post(page(draft, "answer_file", "q.q4"), {"file": upload(name="Kế hoạch.pdf")}, headers=HTMX)
    assert response.status_code == 200
    assert "Kế hoạch.pdf" in text(response)
    client.post(page(draft, "answer_file", "q.q4"), {"file-clear": "on"}, headers=HTMX)
    assert not Attachment.objects.filter(removed_at__isnull=True).exists()


# --- lists ------------------------------------------------------------------------------------------------------------


def test_the_list_is_filtered_searched_and_asks_a_constant_number_of_queries(
    client_of: ClientOf, operator: User, organisation_manager: User, submitted: Application
) -> None:
    client = client_of(operator)
    address = reverse("applications:list")
    found = {
        query: "Trợ lý ảo tiếng Việt" in text(client.get(address + query))
        for query in ("?q=trợ+lý", "?q=khác", "?state=submitted", "?state=awarded", "?risk=limited", "?risk=high")
    }
    assert found == {
        "?q=trợ+lý": True,
        "?q=khác": False,
        "?state=submitted": True,
        "?state=awarded": False,
        "?risk=limited": True,
        "?risk=high": False,
    }
    few = queries_of(client, address)
    row = Application.objects.values().get(pk=submitted.pk)
    Application.objects.bulk_create(Application(**{**row, "id": None}) for _one in range(30))
    assert queries_of(client, address) == few <= QUERIES_MOST


def test_every_text_of_the_fixture_has_a_field(complete: Application) -> None:
    assert set(complete_texts()) == set(answer_values(complete))
