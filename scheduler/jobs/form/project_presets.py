"""Presets of projects: what a member filled in, kept for all members to begin with. What it holds is checked when a job
is made of it, as if it had just been typed."""

import unicodedata
from typing import Any

from django.db import transaction
from django.db.models import Max, QuerySet
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext_lazy as _

from portal.clock import now
from portal.people.models import Project, User
from portal.people.selectors import projects_of
from scheduler.jobs.errors import JobRefused
from scheduler.jobs.models import ProjectPreset
from scheduler.jobs.preflight import Problem
from scheduler.jobs.presets.values import refused_character

VERSIONS = 1000  # of one title: beyond that somebody's program saves, not a person


def project_presets(person: User) -> QuerySet[ProjectPreset]:
    """The newest of each title, of the person's projects."""
    newest = _of_members(person).filter(withdrawn_at=None).order_by("project__title", "project_id", "title", "-version")
    return newest.distinct("project__title", "project_id", "title").select_related("project", "created_by")


def project_preset_get(person: User, pk: int) -> ProjectPreset:
    """Raises Http404 for those who are not members of its project, and where it was withdrawn."""
    return get_object_or_404(
        _of_members(person).filter(withdrawn_at=None).select_related("project", "created_by"), pk=pk
    )


def project_preset_save(*, person: User, project: Project, title: str, **values: Any) -> ProjectPreset:
    """A new version of the title, or its first. `values`: the other columns. Raises JobRefused."""
    title = unicodedata.normalize("NFC", title.strip())
    if not title or refused_character(title):
        raise JobRefused([Problem("name", "save_as", _("Give the preset a name."))])
    if not projects_of(person).filter(pk=project.pk).exists():
        raise JobRefused([Problem("project", "allocation", _("You cannot run jobs in this project."))])
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # two who save at once are two versions
        last = ProjectPreset.objects.filter(project=project, title=title).aggregate(last=Max("version"))["last"] or 0
        if last >= VERSIONS:
            raise JobRefused([Problem("many", "save_as", _("There are too many versions of it. Take another name."))])
        return ProjectPreset.objects.create(
            project=project, title=title, version=last + 1, created_by=person, created_at=now(), **values
        )


def project_preset_withdraw(*, preset: ProjectPreset) -> None:
    """All its versions are offered no more. Jobs that were made of them keep what they need."""
    rows = ProjectPreset.objects.filter(project_id=preset.project_id, title=preset.title, withdrawn_at=None)
    rows.update(withdrawn_at=now())


def _of_members(person: User) -> QuerySet[ProjectPreset]:
    return ProjectPreset.objects.filter(project__in=projects_of(person))
