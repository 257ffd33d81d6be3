from collections.abc import Callable

from django.test import Client

from portal.people.models import User

ClientOf = Callable[[User], Client]


def test_an_operator_sets_a_unix_account_and_the_history_says_who(
    client_of: ClientOf, operator: User, nobody: User
) -> None:
    client = client_of(operator)
    assert client.post(f"/people/{nobody.pk}/", {"unix_account": "khanh"}).status_code == 302
    page = client.get(f"/audit/?model=people.user&number={nobody.pk}").content.decode()
    assert operator.full_name in page
    assert "unix_account_set" in page
    assert '<ins class="change-to">khanh</ins>' in page


def test_a_name_that_was_anothers_is_refused_beside_the_field(
    client_of: ClientOf, operator: User, researcher: User, nobody: User
) -> None:
    response = client_of(operator).post(f"/people/{nobody.pk}/", {"unix_account": "minh"})
    assert response.status_code == 422
    assert 'id="id_unix_account_error"' in response.content.decode()


def test_an_auditor_reads_and_changes_nothing(client_of: ClientOf, auditor: User, nobody: User) -> None:
    client = client_of(auditor)
    assert "<form" not in client.get(f"/people/{nobody.pk}/").content.decode().split("<main")[1]
    assert client.post(f"/people/{nobody.pk}/", {"unix_account": "khanh"}).status_code == 404


def test_people_are_found_by_parts_of_their_names(
    client_of: ClientOf, operator: User, researcher: User, nobody: User
) -> None:
    page = client_of(operator).get("/people/?q=quang+minh").content.decode()
    assert researcher.email in page
    assert nobody.email not in page
