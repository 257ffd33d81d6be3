import re
from collections.abc import Callable

import pytest
from django.core import mail
from django.test import Client

from portal.people.models import User
from tests.factories import PASSWORD


def log_in(client: Client, email: str, password: str = PASSWORD, target: str = "") -> "object":
    return client.post("/accounts/login/" + target, {"login": email, "password": password})


def test_it_logs_in_by_address_in_any_case_and_leads_on(client: Client, researcher: User) -> None:
    response = log_in(client, "Minh@Sao-Mai.example", target="?next=/organisations/")
    assert (response.status_code, response.headers["Location"]) == (302, "/organisations/")


def test_it_speaks_the_language_of_the_profile_after_the_login(client: Client, researcher: User) -> None:
    User.objects.filter(pk=researcher.pk).update(language="en")
    log_in(client, researcher.email)
    assert "Log out" in client.get("/").content.decode()


def test_a_wrong_password_is_refused_in_vietnamese(client: Client, researcher: User) -> None:
    page = log_in(client, researcher.email, "wrong").content.decode()
    assert "Địa chỉ email hoặc mật khẩu không đúng" in page


def test_it_never_leads_to_another_site(client: Client, researcher: User) -> None:
    response = log_in(client, researcher.email, target="?next=https://evil.example/")
    assert response.headers["Location"] == "/"


def test_guessing_is_slowed_down(client: Client, researcher: User) -> None:
    for _attempt in range(12):
        log_in(client, researcher.email, "wrong")
    assert log_in(client, researcher.email).status_code != 302


def test_a_person_who_is_switched_off_cannot_log_in(client: Client, researcher: User) -> None:
    User.objects.filter(pk=researcher.pk).update(is_active=False)
    log_in(client, researcher.email)
    assert client.get("/organisations/").status_code == 302


def test_a_person_who_is_switched_off_is_out_at_once(client_of: Callable[[User], Client], operator: User) -> None:
    client = client_of(operator)
    User.objects.filter(pk=operator.pk).update(is_active=False)
    assert client.get("/people/").status_code == 302


@pytest.mark.django_db
def test_an_invited_person_sets_a_password_by_mail(client: Client) -> None:
    user = User.objects.create_user("moi@sao-mai.example", None, full_name="Người Mới", created_at="2026-01-01T00:00Z")
    client.post("/accounts/password/reset/", {"email": "moi@sao-mai.example"})
    [letter] = mail.outbox
    [link] = re.findall(r"http://testserver(/accounts/password/reset/key/\S+)", letter.body)
    form = client.get(link, follow=True)
    client.post(form.request["PATH_INFO"], {"password1": "mot mat khau moi", "password2": "mot mat khau moi"})
    user.refresh_from_db()
    assert user.check_password("mot mat khau moi")


@pytest.mark.django_db
def test_a_reset_tells_nobody_whether_an_address_is_known(client: Client) -> None:
    response = client.post("/accounts/password/reset/", {"email": "stranger@nowhere.example"})
    assert response.status_code == 302
    assert mail.outbox == []
