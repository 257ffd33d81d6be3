"""The pages of an application, from the form to the decision, as each person sees them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from portal.clock import centre_date, now
from portal.people.models import Organisation, User
from quotas.applications.models import Application
from quotas.programmes.models import Programme

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], Client]


@pytest.fixture
def form(organisation: Organisation, programme: Programme) -> dict[str, Any]:
    today = centre_date(now())
    return {
        "organisation": organisation.pk,
        "programme": programme.pk,
        "project_title": "Trợ lý ảo",
        "purpose": "Tinh chỉnh\r\nmột mô hình",
        "gpu_type": "h100",
        "gpu_hours": "96",
        "starts_on": today.isoformat(),
        "ends_on": (today + timedelta(days=30)).isoformat(),
    }


def english(client_of: ClientOf, person: User) -> Client:
    client = client_of(person)
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    return client


def text(response: Any) -> str:
    return str(response.content.decode())


# --- applying -----------------------------------------------------------------------------------------------------


def test_a_manager_applies_and_sees_it_in_the_list(
    client_of: ClientOf, organisation_manager: User, form: dict[str, Any]
) -> None:
    client = client_of(organisation_manager)
    response = client.post(reverse("applications:submit"), form)
    application = Application.objects.get()
    assert response.headers["Location"] == reverse("applications:detail", args=[application.pk])
    assert (application.gpu_hours, application.purpose) == (96, "Tinh chỉnh\nmột mô hình")
    assert "Trợ lý ảo" in text(client.get(reverse("applications:list")))
    assert "Trợ lý ảo" in text(client.get(reverse("applications:card")))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("organisation", "0"),
        ("programme", "0"),
        ("project_title", ""),
        ("project_title", 'x"; touch /tmp/x'),
        ("project_title", "two\nlines"),
        ("purpose", "nul \x00"),
        ("gpu_type", "b200"),
        ("gpu_hours", "0"),
        ("gpu_hours", "100000001"),
        ("gpu_hours", "99999999999999999999"),
        ("gpu_hours", "1.5"),
        ("starts_on", "2020-01-01"),
        ("starts_on", "31/02/2026"),
        ("ends_on", "2020-01-01"),
    ],
)
def test_bad_input_is_refused_beside_its_field_and_nothing_is_written(
    client_of: ClientOf, organisation_manager: User, form: dict[str, Any], field: str, value: str
) -> None:
    response = client_of(organisation_manager).post(reverse("applications:submit"), form | {field: value})
    assert response.status_code == 422
    assert list(response.context["form"].errors) == [field]
    assert f'id="id_{field}_error"' in text(response)
    assert not Application.objects.exists()


def test_what_was_typed_is_kept_when_something_is_wrong(
    client_of: ClientOf, organisation_manager: User, form: dict[str, Any]
) -> None:
    response = client_of(organisation_manager).post(reverse("applications:submit"), form | {"gpu_hours": "0"})
    assert "Trợ lý ảo" in text(response)


def test_without_an_open_programme_the_page_says_so(client_of: ClientOf, organisation_manager: User) -> None:
    response = english(client_of, organisation_manager).get(reverse("applications:submit"))
    assert "No programme is open today" in text(response)


def test_a_title_is_shown_as_text(client_of: ClientOf, operator: User, application: Application) -> None:
    Application.objects.update(project_title="<script>alert(1)</script>")
    response = client_of(operator).get(reverse("applications:detail", args=[application.pk]))
    assert "<script>alert" not in text(response)


# --- withdrawing --------------------------------------------------------------------------------------------------


def test_a_manager_withdraws(client_of: ClientOf, organisation_manager: User, application: Application) -> None:
    client = client_of(organisation_manager)
    page = reverse("applications:detail", args=[application.pk])
    assert reverse("applications:withdraw", args=[application.pk]) in text(client.get(page))
    client.post(reverse("applications:withdraw", args=[application.pk]))
    assert Application.objects.get().state == "withdrawn"
    assert reverse("applications:withdraw", args=[application.pk]) not in text(client.get(page))
