from tests.urls.roles import Row, World

READERS = {"operator": 200, "second_operator": 200, "approver": 200, "auditor": 200}
OPERATORS = {"operator": 302, "second_operator": 302}


def organisation(world: World) -> list[str]:
    return [world.organisation.slug]


def project(world: World) -> list[str]:
    return [world.project.slug]


def researcher(world: World) -> list[int]:
    return [world.researcher.pk]


ROWS = [
    # The account pages are allauth's. A person who is logged in has no business at the login.
    Row("account_login", 302, anonymous=200),
    Row("account_logout", 200, anonymous=302),
    Row("account_logout", 302, post={}, anonymous=302),
    Row("account_inactive", 200, anonymous=200),
    Row("account_change_password", 200),
    Row("account_reset_password", 200, anonymous=200),
    Row("account_reset_password_done", 200, anonymous=200),
    Row("account_reset_password_from_key", 200, args=lambda world: ["1", "no-such-key"], anonymous=200),
    Row("account_reset_password_from_key_done", 200, anonymous=200),
    *(
        Row(name, 404, anonymous=404)
        for name in (
            "account_signup",
            "account_email",
            "account_email_verification_sent",
            "account_set_password",
            "account_reauthenticate",
        )
    ),
    Row("people:organisations", 200),
    Row(
        "people:organisation",
        404,
        args=organisation,
        researcher=200,
        pi=200,
        organisation_member=200,
        organisation_manager=200,
        **READERS,
    ),
    Row(
        "people:organisation_member_add",
        404,
        post={"email": "new@sao-mai.example", "full_name": "Người Mới", "role": "member"},
        args=organisation,
        organisation_manager=302,
        **OPERATORS,
    ),
    Row("people:organisation_member_add", 405, args=organisation, anonymous=405),
    Row(
        "people:organisation_member_remove",
        404,
        post=lambda world: {"user": world.researcher.pk, "role": "member"},
        args=organisation,
        organisation_manager=302,
        **OPERATORS,
    ),
    Row("people:project", 404, args=project, researcher=200, pi=200, organisation_manager=200, **READERS),
    Row(
        "people:project_member_add",
        404,
        post=lambda world: {"user": world.organisation_member.pk, "role": "researcher"},
        args=project,
        pi=302,
        organisation_manager=302,
        **OPERATORS,
    ),
    Row(
        "people:project_member_remove",
        404,
        post=lambda world: {"user": world.researcher.pk, "role": "researcher"},
        args=project,
        pi=302,
        organisation_manager=302,
        **OPERATORS,
    ),
    Row("people:people", 404, **READERS),
    Row("people:person", 404, args=researcher, **READERS),
    Row("people:person", 404, args=researcher, post={"unix_account": "minh2"}, **OPERATORS),
    Row("people:projects_card", 204, researcher=200, pi=200, other_researcher=200),
]
