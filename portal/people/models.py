"""Who: users, organisations, memberships, projects.

Roles of the centre (operator, approver, auditor, reviewer) are rows of `CentreRole`; roles in an organisation or a
project are rows of `Membership` and `ProjectMembership`. A person may hold several of each.
"""

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from portal.audit.tracking import track

SLUG_FORM = r"^[a-z0-9](-?[a-z0-9])*$"  # Slurm writes account names in lower case, so a slug has no other form


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: object) -> "User":
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save()
        return user

    def get_by_natural_key(self, email: str | None) -> "User":
        return self.get(email__iexact=email)


@track(exclude=["password", "last_login"])
class User(AbstractBaseUser):
    """A person. `unix_account` is the account the jobs run as: unique, set only by an operator, never reused."""

    email = models.EmailField(_("e-mail address"), unique=True)
    full_name = models.CharField(_("full name"), max_length=120)
    unix_account = models.CharField(_("unix account"), max_length=32, null=True, blank=True, unique=True)
    language = models.CharField(_("language"), max_length=5, default="vi")
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(_("created"))

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = ["full_name"]
    objects = UserManager()

    class Meta:
        verbose_name = _("person")
        constraints = [
            models.UniqueConstraint(Lower("email"), name="user_email_unique_ci"),
            models.CheckConstraint(
                condition=models.Q(unix_account__isnull=True)
                | models.Q(unix_account__regex=r"^[a-z_][a-z0-9_-]{0,31}$"),
                name="user_unix_account_is_a_posix_name",
            ),
            models.CheckConstraint(condition=models.Q(language__in=["vi", "en"]), name="user_language_known"),
        ]
        ordering = ["full_name", "id"]

    def __str__(self) -> str:
        return self.full_name or self.email


class UnixAccountUse(models.Model):
    """Every unix account name ever given to a person: it is never given to another one."""

    name = models.CharField(max_length=32, primary_key=True)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="unix_account_uses")
    first_set_at = models.DateTimeField()


@track()
class CentreRole(models.Model):
    class Role(models.TextChoices):
        OPERATOR = "operator", _("Operator")
        APPROVER = "approver", _("Approver")
        AUDITOR = "auditor", _("Auditor")
        REVIEWER = "reviewer", _("Reviewer")

    user = models.ForeignKey(User, verbose_name=_("person"), on_delete=models.CASCADE, related_name="centre_roles")
    role = models.CharField(_("role"), max_length=16, choices=Role.choices)
    created_at = models.DateTimeField(_("created"))

    class Meta:
        verbose_name = _("role of the centre")
        constraints = [models.UniqueConstraint(fields=["user", "role"], name="centre_role_once")]


@track()
class Organisation(models.Model):
    class Kind(models.TextChoices):
        STARTUP = "startup", _("Startup")
        SME = "sme", _("Small or medium-sized enterprise")
        UNIVERSITY = "university", _("University")
        INSTITUTE = "institute", _("Research institute")
        PUBLIC_BODY = "public_body", _("Public body")

    class Verification(models.TextChoices):
        UNVERIFIED = "unverified", _("Not verified")
        VERIFIED = "verified", _("Verified")
        REJECTED = "rejected", _("Rejected")

    name = models.CharField(_("name"), max_length=200, unique=True)
    slug = models.SlugField(_("short name"), max_length=40, unique=True)
    kind = models.CharField(_("kind"), max_length=16, choices=Kind.choices)
    tax_code = models.CharField(_("tax code"), max_length=14, blank=True)
    verification = models.CharField(
        _("verification"), max_length=12, choices=Verification.choices, default=Verification.UNVERIFIED
    )
    imported = models.BooleanField(_("imported"), default=False)  # made by import_sacct: marked everywhere
    created_at = models.DateTimeField(_("created"))

    class Meta:
        verbose_name = _("organisation")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["tax_code"], condition=~models.Q(tax_code=""), name="organisation_tax_code_unique"
            ),
            models.CheckConstraint(
                condition=models.Q(tax_code="") | models.Q(tax_code__regex=r"^[0-9]{10}(-[0-9]{3})?$"),
                name="organisation_tax_code_form",
            ),
            models.CheckConstraint(condition=models.Q(slug__regex=SLUG_FORM), name="organisation_slug_form"),
        ]

    def __str__(self) -> str:
        return self.name


@track()
class Membership(models.Model):
    class Role(models.TextChoices):
        MANAGER = "manager", _("Organisation manager")
        MEMBER = "member", _("Member")

    user = models.ForeignKey(User, verbose_name=_("person"), on_delete=models.CASCADE, related_name="memberships")
    organisation = models.ForeignKey(
        Organisation, verbose_name=_("organisation"), on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(_("role"), max_length=16, choices=Role.choices)
    created_at = models.DateTimeField(_("created"))

    class Meta:
        verbose_name = _("membership")
        constraints = [models.UniqueConstraint(fields=["user", "organisation", "role"], name="membership_role_once")]


@track()
class Project(models.Model):
    """A team of one organisation that runs jobs. `slug` is unique in the centre: Slurm's account name is made from
    it.
    """

    organisation = models.ForeignKey(
        Organisation, verbose_name=_("organisation"), on_delete=models.PROTECT, related_name="projects"
    )
    title = models.CharField(_("title"), max_length=200)
    slug = models.SlugField(_("short name"), max_length=40, unique=True)
    is_active = models.BooleanField(_("active"), default=True)
    imported = models.BooleanField(_("imported"), default=False)
    created_at = models.DateTimeField(_("created"))

    class Meta:
        verbose_name = _("project")
        ordering = ["title", "id"]
        constraints = [models.CheckConstraint(condition=models.Q(slug__regex=SLUG_FORM), name="project_slug_form")]

    def __str__(self) -> str:
        return self.title


@track()
class ProjectMembership(models.Model):
    class Role(models.TextChoices):
        PI = "pi", _("Principal investigator")
        RESEARCHER = "researcher", _("Researcher")

    user = models.ForeignKey(
        User, verbose_name=_("person"), on_delete=models.CASCADE, related_name="project_memberships"
    )
    project = models.ForeignKey(
        Project, verbose_name=_("project"), on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(_("role"), max_length=16, choices=Role.choices)
    created_at = models.DateTimeField(_("created"))

    class Meta:
        verbose_name = _("project membership")
        constraints = [models.UniqueConstraint(fields=["user", "project", "role"], name="project_membership_role_once")]
