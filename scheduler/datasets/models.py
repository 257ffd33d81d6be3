"""Data sets on the clusters: what they are, who may read them, and the unix group that lets those people in."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from portal.audit.tracking import track
from portal.people.models import SLUG_FORM, Organisation, Project
from scheduler.clusters.models import Cluster

# Every part begins with a letter, a digit or “_”: no “..”, nothing empty, nothing that a mount or a shell would split.
PATH_FORM = r"^(/[A-Za-z0-9_][A-Za-z0-9._+@-]{0,100}){1,20}$"
GROUP_FORM = r"^[a-z][a-z0-9-]{0,31}$"


@track()
class DataSet(models.Model):
    """One version of a collection of files at one place. Never deleted: jobs say that they used it, and the number of
    its unix group must not go to another one while files carry it."""

    class State(models.TextChoices):
        DRAFT = "draft", _("Draft")
        OPEN = "open", _("Offered")
        WITHDRAWN = "withdrawn", _("Withdrawn")

    class Audience(models.TextChoices):
        EVERYONE = "everyone", _("Everyone in a project of the centre")
        NAMED = "named", _("Named organisations and projects")

    name = models.CharField(_("name"), max_length=200)
    slug = models.SlugField(_("short name"), max_length=40, unique=True)
    description = models.TextField(_("description"), blank=True)
    cluster = models.ForeignKey(Cluster, verbose_name=_("cluster"), on_delete=models.PROTECT, related_name="data_sets")
    path = models.CharField(_("path"), max_length=500)
    size_bytes = models.PositiveBigIntegerField(_("size in bytes"))
    file_count = models.PositiveBigIntegerField(_("number of files"))
    licence_name = models.CharField(_("licence"), max_length=120)
    licence_url = models.URLField(_("licence text"), max_length=300, blank=True)
    version = models.CharField(_("version"), max_length=40)
    released_on = models.DateField(_("released on"), null=True, blank=True)
    audience = models.CharField(_("who may use it"), max_length=8, choices=Audience.choices)
    unix_group = models.CharField(_("unix group"), max_length=32, unique=True)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.DRAFT)
    withdrawn_reason = models.CharField(_("why it was withdrawn"), max_length=400, blank=True)
    created_at = models.DateTimeField(_("created"))

    class Meta:
        verbose_name = _("data set")
        ordering = ["name", "id"]
        constraints = [
            models.CheckConstraint(condition=models.Q(slug__regex=SLUG_FORM), name="data_set_slug_form"),
            models.CheckConstraint(condition=models.Q(path__regex=PATH_FORM), name="data_set_path_form"),
            models.CheckConstraint(condition=models.Q(unix_group__regex=GROUP_FORM), name="data_set_group_form"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def variable(self) -> str:
        """What a job finds its path under; as many names as there are short names."""
        return f"SAOLA_DATA_{self.slug.upper().replace('-', '_')}"


@track()
class Permit(models.Model):
    """An organisation, or a project, whose people may use a data set that is not everyone's."""

    data_set = models.ForeignKey(DataSet, verbose_name=_("data set"), on_delete=models.CASCADE, related_name="permits")
    organisation = models.ForeignKey(
        Organisation, verbose_name=_("organisation"), on_delete=models.CASCADE, null=True, related_name="+"
    )
    project = models.ForeignKey(
        Project, verbose_name=_("project"), on_delete=models.CASCADE, null=True, related_name="+"
    )

    class Meta:
        verbose_name = _("permit")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(organisation__isnull=True) ^ models.Q(project__isnull=True), name="permit_for_one"
            ),
            models.UniqueConstraint(
                fields=["data_set", "organisation"], condition=models.Q(project=None), name="permit_organisation_once"
            ),
            models.UniqueConstraint(
                fields=["data_set", "project"], condition=models.Q(organisation=None), name="permit_project_once"
            ),
        ]


class Reading(models.Model):
    """What the cluster's worker last read back: who is in the group, and whether the folder is as it should be."""

    class Folder(models.TextChoices):
        FINE = "fine", _("As it should be")
        ABSENT = "absent", _("Nothing is there, or the way to it is closed")
        NO_FOLDER = "no_folder", _("It is no folder")
        GROUP = "group", _("It belongs to another group")
        CLOSED = "closed", _("Its group cannot read it")
        WRITABLE = "writable", _("Its group or everybody can write in it")
        PUBLIC = "public", _("Everybody can read it")
        UNREAD = "unread", _("Not looked at yet")

    data_set = models.OneToOneField(DataSet, on_delete=models.CASCADE, related_name="reading")
    members = models.JSONField(default=list)  # unix accounts, sorted
    folder = models.CharField(max_length=10, choices=Folder.choices, default=Folder.UNREAD)
    folder_read_at = models.DateTimeField(null=True)


class StoredGroups(models.Model):
    """What the last cycle left to do with the groups of a cluster's data sets, for the operators' page."""

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, related_name="stored_groups")
    made_at = models.DateTimeField()
    actions = models.JSONField(default=list)  # [{group, create, add, remove}]
    notes = models.JSONField(default=list)  # [{code, name, about}]
    errors = models.JSONField(default=list)  # what the host refused in that cycle
    removals_withheld = models.PositiveIntegerField(default=0)  # more than the cap: nobody was removed
    digest = models.CharField(max_length=64)  # of the actions: an operator applies what they saw
    applied_at = models.DateTimeField(null=True)  # when somebody was last let in or taken out
    applied_changes = models.PositiveIntegerField(default=0)  # how many people then
    outside = models.JSONField(default=list)  # changes by hand, the newest first: [{at, group, add, remove}]
