"""Changes to people, organisations and projects. Whether the actor may is decided by the selector that fetched the
object.

Every service takes `actor`: the person who acts, the name of a process, or None where the request already says it.
"""

import re

from django.db import connection, transaction
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _

from portal.audit.context import acting
from portal.clock import now
from portal.locks import LockSpace
from portal.outbox.services import message_write
from portal.people.errors import (
    EmailTaken,
    LastManager,
    NameMissing,
    NotAMember,
    SlugTaken,
    UnixAccountRefused,
    UnixAccountTaken,
)
from portal.people.models import (
    SLUG_FORM,
    CentreRole,
    Membership,
    Organisation,
    Project,
    ProjectMembership,
    UnixAccountUse,
    User,
)
from portal.people.selectors import user_by_email

Actor = User | str | None
SLUG_LENGTH = 40
# Accounts that Debian or Slurm own: no person's jobs ever run as one of them.
SYSTEM_ACCOUNTS = """
    root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc gnats nobody
    slurm munge mysql postgres redis prometheus sshd messagebus _apt saola
"""


def slug_make(text: str) -> str:
    """A free slug for a name, at most 40 characters: Vietnamese letters without their marks, a number if taken."""
    base = slugify(text.replace("đ", "d").replace("Đ", "D").replace("_", "-"))[:SLUG_LENGTH].strip("-") or "x"
    slug, number = base, 2
    while _slug_is_taken(slug):
        tail = f"-{number}"
        slug, number = base[: SLUG_LENGTH - len(tail)].strip("-") + tail, number + 1
    return slug


def _slug_is_taken(slug: str) -> bool:
    return Organisation.objects.filter(slug=slug).exists() or Project.objects.filter(slug=slug).exists()


def _slug_take(wanted: str | None, name: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LockSpace.SLUG])
    if wanted is None:
        return slug_make(name)
    if not re.fullmatch(SLUG_FORM, wanted) or len(wanted) > SLUG_LENGTH:
        raise SlugTaken(_("Use lower-case letters, digits and single hyphens."), field="slug")
    if _slug_is_taken(wanted):
        raise SlugTaken(_("This short name is taken."), field="slug")
    return wanted


def user_create(
    *,
    email: str,
    full_name: str,
    password: str | None = None,
    unix_account: str | None = None,
    language: str = "vi",
    actor: Actor = None,
) -> User:
    """Makes a person. Without a password the person sets one through the reset mail.

    Raises EmailTaken, UnixAccountRefused, UnixAccountTaken.
    """
    email = email.strip().lower()
    with transaction.atomic(), acting(actor, "user_create"):
        if User.objects.filter(email=email).exists():
            raise EmailTaken(_("A person with this e-mail address exists already."), field="email")
        user = User.objects.create_user(
            email, password, full_name=" ".join(full_name.split()), language=language, created_at=now()
        )
        if unix_account:
            unix_account_set(user=user, name=unix_account, actor=actor)
    return user


def unix_account_set(*, user: User, name: str | None, actor: Actor = None) -> User:
    """Sets (or with None takes away) the account that the person's jobs run as. A name is never given to a second
    person.

    Raises UnixAccountRefused, UnixAccountTaken.
    """
    name = (name or "").strip() or None
    if name and (not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", name)):
        raise UnixAccountRefused(
            _("Use 1 to 32 lower-case letters, digits, hyphens and underscores, beginning with a letter."),
            field="unix_account",
        )
    if name and (name in SYSTEM_ACCOUNTS.split() or name.startswith(("systemd-", "saola-"))):
        raise UnixAccountRefused(_("This name belongs to the system."), field="unix_account")
    with transaction.atomic(), acting(actor, "unix_account_set"):
        if name:
            # The primary key decides between two operators who set the same name at once.
            UnixAccountUse.objects.bulk_create(
                [UnixAccountUse(name=name, user=user, first_set_at=now())], ignore_conflicts=True
            )
            if UnixAccountUse.objects.get(name=name).user_id != user.pk:
                raise UnixAccountTaken(
                    _("This unix account belongs, or once belonged, to another person."), field="unix_account"
                )
        User.objects.filter(pk=user.pk).update(unix_account=name)
    user.unix_account = name
    return user


def language_set(*, user: User, language: str) -> None:
    User.objects.filter(pk=user.pk).exclude(language=language).update(language=language)
    user.language = language


def centre_role_grant(*, user: User, role: str, actor: Actor = None) -> CentreRole:
    with transaction.atomic(), acting(actor, "centre_role_grant"):
        granted, _created = CentreRole.objects.get_or_create(
            user=user, role=CentreRole.Role(role), defaults={"created_at": now()}
        )
    return granted


def centre_role_revoke(*, user: User, role: str, actor: Actor = None) -> None:
    with transaction.atomic(), acting(actor, "centre_role_revoke"):
        CentreRole.objects.filter(user=user, role=role).delete()


def organisation_create(
    *,
    name: str,
    kind: str,
    slug: str | None = None,
    tax_code: str = "",
    verification: str = Organisation.Verification.UNVERIFIED,
    imported: bool = False,
    actor: Actor = None,
) -> Organisation:
    """Raises SlugTaken; without `slug` a free one is made from the name."""
    with transaction.atomic(), acting(actor, "organisation_create"):
        return Organisation.objects.create(
            name=name,
            slug=_slug_take(slug, name),
            kind=Organisation.Kind(kind),
            tax_code=tax_code,
            verification=verification,
            imported=imported,
            created_at=now(),
        )


def membership_add(*, organisation: Organisation, user: User, role: str, actor: Actor = None) -> Membership:
    """Makes the person a member or manager of the organisation; a second time changes nothing."""
    with transaction.atomic(), acting(actor, "membership_add"):
        return Membership.objects.get_or_create(
            organisation=organisation, user=user, role=Membership.Role(role), defaults={"created_at": now()}
        )[0]


def member_invite(
    *, organisation: Organisation, email: str, full_name: str, role: str, actor: Actor = None
) -> Membership:
    """Adds a person by e-mail address. Who is new to the portal gets an account, and a mail that says how to enter.

    Raises NameMissing where the address is new and no name was given.
    """
    with transaction.atomic(), acting(actor, "member_invite"):
        user = user_by_email(email)
        if user is None:
            if not full_name.strip():
                raise NameMissing(_("This person is new to the portal: a name is needed too."), field="full_name")
            user = user_create(email=email, full_name=full_name, actor=actor)
            message_write(
                topic="people.invitation",
                key=str(user.pk),
                payload={"user": user.pk, "organisation": organisation.pk},
            )
        return membership_add(organisation=organisation, user=user, role=role, actor=actor)


def membership_remove(*, organisation: Organisation, user: User, role: str, actor: Actor = None) -> None:
    """Takes one role away. With the last one the person also leaves the organisation's projects.

    Raises LastManager.
    """
    with transaction.atomic(), acting(actor, "membership_remove"):
        # Two managers who remove each other at once: the second waits here and is then the last one.
        Organisation.objects.select_for_update().get(pk=organisation.pk)
        if role == Membership.Role.MANAGER:
            managers = Membership.objects.filter(organisation=organisation, role=Membership.Role.MANAGER)
            if managers.filter(user=user).exists() and managers.count() == 1:
                raise LastManager(_("An organisation needs at least one manager."))
        Membership.objects.filter(organisation=organisation, user=user, role=role).delete()
        if not Membership.objects.filter(organisation=organisation, user=user).exists():
            ProjectMembership.objects.filter(project__organisation=organisation, user=user).delete()


def project_create(
    *,
    organisation: Organisation,
    title: str,
    slug: str | None = None,
    imported: bool = False,
    actor: Actor = None,
) -> Project:
    """Raises SlugTaken; without `slug` a free one is made from the title."""
    with transaction.atomic(), acting(actor, "project_create"):
        return Project.objects.create(
            organisation=organisation,
            title=title,
            slug=_slug_take(slug, title),
            imported=imported,
            created_at=now(),
        )


def project_member_add(*, project: Project, user: User, role: str, actor: Actor = None) -> ProjectMembership:
    """Lets a member of the organisation run jobs in the project (PI: also choose who else may). Raises NotAMember."""
    with transaction.atomic(), acting(actor, "project_member_add"):
        # The lock that membership_remove takes: nobody joins a project of an organisation while leaving that
        # organisation.
        Organisation.objects.select_for_update().get(pk=project.organisation_id)
        if not Membership.objects.filter(organisation=project.organisation_id, user=user).exists():
            raise NotAMember(_("This person is not a member of the organisation."), field="user")
        return ProjectMembership.objects.get_or_create(
            project=project, user=user, role=ProjectMembership.Role(role), defaults={"created_at": now()}
        )[0]


def project_member_remove(*, project: Project, user: User, role: str, actor: Actor = None) -> None:
    with transaction.atomic(), acting(actor, "project_member_remove"):
        ProjectMembership.objects.filter(project=project, user=user, role=role).delete()
