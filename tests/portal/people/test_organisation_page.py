from collections.abc import Callable

from django.core import mail
from django.test import Client

from portal.outbox.services import messages_deliver
from portal.people.models import Membership, Organisation, Project, ProjectMembership, User

ClientOf = Callable[[User], Client]


def add_url(organisation: Organisation) -> str:
    return f"/organisations/{organisation.slug}/members/add/"


def test_a_manager_adds_a_person_who_is_known(
    client_of: ClientOf, organisation: Organisation, organisation_manager: User, nobody: User
) -> None:
    form = {"email": "KHANH@elsewhere.example", "full_name": "", "role": "member"}
    response = client_of(organisation_manager).post(add_url(organisation), form)
    assert response.status_code == 302
    assert Membership.objects.filter(organisation=organisation, user=nobody, role="member").exists()


def test_a_person_who_is_new_gets_an_account_and_a_mail(
    client_of: ClientOf, organisation: Organisation, organisation_manager: User
) -> None:
    form = {"email": "ngoc@sao-mai.example", "full_name": "Phan Bảo Ngọc", "role": "member"}
    client_of(organisation_manager).post(add_url(organisation), form)
    assert messages_deliver(queue="default") == 1
    [letter] = mail.outbox
    assert letter.to == ["ngoc@sao-mai.example"]
    assert "/accounts/password/reset/" in letter.body
    assert not User.objects.get(email="ngoc@sao-mai.example").has_usable_password()


def test_a_new_person_without_a_name_is_refused_beside_the_field(
    client_of: ClientOf, organisation: Organisation, organisation_manager: User
) -> None:
    form = {"email": "ngoc@sao-mai.example", "full_name": " ", "role": "member"}
    response = client_of(organisation_manager).post(add_url(organisation), form)
    assert response.status_code == 422
    assert 'id="id_full_name_error"' in response.content.decode()
    assert not User.objects.filter(email="ngoc@sao-mai.example").exists()


def test_a_name_cannot_carry_markup(
    client_of: ClientOf, organisation: Organisation, organisation_manager: User
) -> None:
    form = {"email": "x@sao-mai.example", "full_name": "<script>alert(1)</script>", "role": "member"}
    client_of(organisation_manager).post(add_url(organisation), form)
    page = client_of(organisation_manager).get(f"/organisations/{organisation.slug}/").content.decode()
    assert "<script>alert" not in page


def test_the_last_manager_is_told_why_he_stays(
    client_of: ClientOf, organisation: Organisation, organisation_manager: User
) -> None:
    response = client_of(organisation_manager).post(
        f"/organisations/{organisation.slug}/members/remove/",
        {"user": organisation_manager.pk, "role": "manager"},
        follow=True,
    )
    assert "ít nhất một người quản lý" in response.content.decode()
    assert organisation.memberships.filter(role="manager").exists()


def test_members_see_each_other_and_no_form(
    client_of: ClientOf, organisation: Organisation, researcher: User, organisation_manager: User
) -> None:
    page = client_of(researcher).get(f"/organisations/{organisation.slug}/").content.decode()
    assert organisation_manager.email in page
    assert "members/add" not in page
    assert "members/remove" not in page


def test_a_member_sees_only_own_projects_of_the_organisation(
    client_of: ClientOf, organisation: Organisation, project: Project, organisation_member: User
) -> None:
    page = client_of(organisation_member).get(f"/organisations/{organisation.slug}/").content.decode()
    assert project.title not in page


def test_a_pi_adds_only_members_of_the_organisation(
    client_of: ClientOf, project: Project, pi: User, organisation_member: User, outsider: User
) -> None:
    url = f"/projects/{project.slug}/members/add/"
    assert client_of(pi).post(url, {"user": outsider.pk, "role": "researcher"}).status_code == 422
    assert client_of(pi).post(url, {"user": organisation_member.pk, "role": "researcher"}).status_code == 302
    added = ProjectMembership.objects.filter(project=project, user__in=[outsider, organisation_member])
    assert [membership.user for membership in added] == [organisation_member]
