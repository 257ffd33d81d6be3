import pytest
from django.db import IntegrityError, transaction

from portal.people import services
from portal.people.errors import EmailTaken, LastManager, NotAMember, SlugTaken, UnixAccountRefused, UnixAccountTaken
from portal.people.models import Membership, Organisation, Project, ProjectMembership, User
from tests import factories


def test_an_address_is_one_person_whatever_its_case(nobody: User) -> None:
    with pytest.raises(EmailTaken):
        services.user_create(email="  KHANH@elsewhere.example", full_name="Another")


def test_a_unix_account_is_never_given_to_a_second_person(nobody: User, researcher: User) -> None:
    services.unix_account_set(user=researcher, name=None)
    with pytest.raises(UnixAccountTaken):
        services.unix_account_set(user=nobody, name="minh")
    services.unix_account_set(user=researcher, name="minh")
    assert User.objects.get(pk=researcher.pk).unix_account == "minh"


@pytest.mark.parametrize("name", ["root", "slurm", "saola-1a2b3c4d-web", "Minh", "1st", "a b", "x" * 33, "a'b", "a\nb"])
def test_a_unix_account_is_a_plain_name_and_not_the_systems(nobody: User, name: str) -> None:
    with pytest.raises(UnixAccountRefused):
        services.unix_account_set(user=nobody, name=name)


def test_the_database_refuses_a_unix_account_that_is_no_posix_name(nobody: User) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(pk=nobody.pk).update(unix_account="a;b")


def test_the_last_manager_stays(organisation: Organisation, organisation_manager: User) -> None:
    with pytest.raises(LastManager):
        services.membership_remove(organisation=organisation, user=organisation_manager, role=Membership.Role.MANAGER)


def test_who_leaves_the_organisation_leaves_its_projects(project: Project, researcher: User) -> None:
    services.membership_remove(organisation=project.organisation, user=researcher, role=Membership.Role.MEMBER)
    assert not ProjectMembership.objects.filter(user=researcher).exists()


def test_a_stranger_cannot_join_a_project(project: Project, outsider: User) -> None:
    with pytest.raises(NotAMember):
        services.project_member_add(project=project, user=outsider, role=ProjectMembership.Role.RESEARCHER)


def test_a_project_and_an_organisation_never_share_a_slug(organisation: Organisation) -> None:
    with pytest.raises(SlugTaken):
        factories.project("Sao Mai", organisation.slug, of=organisation)


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Đọc ảnh y tế", "doc-anh-y-te"),
        ("  ", "x"),
        ("Sao Mai", "sao-mai-2"),
        ("a_b", "a-b"),
        ("Mô hình ngôn ngữ lớn cho văn bản pháp luật Việt Nam", "mo-hinh-ngon-ngu-lon-cho-van-ban-phap-lu"),
    ],
)
def test_a_slug_is_made_from_a_vietnamese_title(organisation: Organisation, title: str, slug: str) -> None:
    assert services.project_create(organisation=organisation, title=title).slug == slug


@pytest.mark.parametrize("slug", ["Sao", "a--b", "-a", "a_b", "ă", "a" * 41, ""])
def test_a_slug_is_fit_for_slurm(organisation: Organisation, slug: str) -> None:
    with pytest.raises(SlugTaken):
        services.project_create(organisation=organisation, title="Title", slug=slug)
