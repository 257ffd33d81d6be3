"""Explicit makers of test data: every name and number is said, none is random. They go through the services, as the
portal does.
"""

from portal.people import services
from portal.people.models import CentreRole, Membership, Organisation, Project, ProjectMembership, User

PASSWORD = "a long enough test password"


def person(
    email: str,
    full_name: str,
    *,
    unix_account: str | None = None,
    centre_roles: tuple[CentreRole.Role, ...] = (),
    language: str = "vi",
) -> User:
    user = services.user_create(
        email=email, full_name=full_name, password=PASSWORD, unix_account=unix_account, language=language
    )
    for role in centre_roles:
        services.centre_role_grant(user=user, role=role)
    return user


def organisation(
    name: str, slug: str, *, kind: Organisation.Kind = Organisation.Kind.STARTUP, tax_code: str = ""
) -> Organisation:
    return services.organisation_create(
        name=name, slug=slug, kind=kind, tax_code=tax_code, verification=Organisation.Verification.VERIFIED
    )


def member(user: User, of: Organisation, role: Membership.Role = Membership.Role.MEMBER) -> Membership:
    return services.membership_add(organisation=of, user=user, role=role)


def project(title: str, slug: str, *, of: Organisation) -> Project:
    return services.project_create(organisation=of, title=title, slug=slug)


def project_member(
    user: User, of: Project, role: ProjectMembership.Role = ProjectMembership.Role.RESEARCHER
) -> ProjectMembership:
    """Also makes the person a member of the organisation."""
    services.membership_add(organisation=of.organisation, user=user, role=Membership.Role.MEMBER)
    return services.project_member_add(project=of, user=user, role=role)
