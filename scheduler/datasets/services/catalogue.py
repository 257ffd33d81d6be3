"""Keeping the catalogue. Whether the actor may is decided by the selector that fetched the data set."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import transaction
from django.utils.translation import gettext as _

from portal.audit.context import acting
from portal.clock import now
from portal.people.models import SLUG_FORM, Organisation, Project
from quotas.actors import Actor
from quotas.texts import is_plain_name, is_plain_text
from scheduler.clusters.models import Cluster
from scheduler.datasets.errors import Invalid, WrongState
from scheduler.datasets.models import PATH_FORM, DataSet, Permit
from scheduler.datasets.names import group_name

DESCRIPTION_LENGTH = 10_000
REASON_LENGTH = 400
_WEB_ADDRESS = URLValidator(schemes=["http", "https"])
_LINES = (("name", 200), ("version", 40), ("licence_name", 120))  # what must be said, and at most how long


@dataclass(frozen=True, kw_only=True)
class Described:
    """What an operator says of a data set. `organisations` and `projects` count where the audience is named ones."""

    name: str
    path: str
    description: str
    size_bytes: int
    file_count: int
    licence_name: str
    licence_url: str
    version: str
    released_on: date | None
    audience: str
    organisations: Sequence[Organisation] = ()
    projects: Sequence[Project] = ()


def data_set_create(*, slug: str, cluster: Cluster, described: Described, actor: Actor) -> DataSet:
    """A draft: its group is made on the cluster and nobody is in it, so that the folder can be given to the group.

    Raises Invalid (with the field).
    """
    _check(described)
    if not re.fullmatch(SLUG_FORM, slug) or len(slug) > 40 or slug in ("new", "clusters"):
        raise Invalid(_("Use lower-case letters, digits and single hyphens."), field="slug")
    unix_group = group_name(slug)
    with transaction.atomic(), acting(actor, "data_set_create"):
        if DataSet.objects.filter(slug=slug).exists() or DataSet.objects.filter(unix_group=unix_group).exists():
            raise Invalid(_("This short name is taken."), field="slug")
        made = DataSet.objects.create(
            slug=slug, cluster=cluster, unix_group=unix_group, created_at=now(), **_columns(described)
        )
        _permits_set(made, described)
    return made


def data_set_change(*, data_set: DataSet, described: Described, actor: Actor) -> DataSet:
    """Jobs that used it keep what it was to them. Raises Invalid (with the field)."""
    _check(described)
    with transaction.atomic(), acting(actor, "data_set_change"):
        locked = DataSet.objects.select_for_update(no_key=True).get(pk=data_set.pk)
        for name, value in _columns(described).items():
            setattr(locked, name, value)
        locked.save()
        _permits_set(locked, described)
    return locked


def data_set_offer(*, data_set: DataSet, actor: Actor) -> DataSet:
    """From now on jobs may use it; the cluster's worker lets its people into the group. Again after a withdrawal too.

    Raises WrongState.
    """
    with transaction.atomic(), acting(actor, "data_set_offer"):
        changed = (
            DataSet.objects.filter(pk=data_set.pk)
            .exclude(state=DataSet.State.OPEN)
            .update(state=DataSet.State.OPEN, withdrawn_reason="")
        )
        if not changed:
            raise WrongState(_("It is offered already."))
    data_set.refresh_from_db()
    return data_set


def data_set_withdraw(*, data_set: DataSet, reason: str, actor: Actor) -> DataSet:
    """No new job may use it, and its people leave the group. Raises Invalid (without a reason), WrongState."""
    reason = " ".join(reason.split())
    if not reason or len(reason) > REASON_LENGTH or not is_plain_text(reason):
        raise Invalid(_("Say in at most 400 characters why."), field="reason")
    with transaction.atomic(), acting(actor, "data_set_withdraw"):
        changed = DataSet.objects.filter(pk=data_set.pk, state=DataSet.State.OPEN).update(
            state=DataSet.State.WITHDRAWN, withdrawn_reason=reason
        )
        if not changed:
            raise WrongState(_("Only what is offered can be withdrawn."))
    data_set.refresh_from_db()
    return data_set


def _columns(described: Described) -> dict[str, object]:
    return {
        "name": described.name.strip(),
        "path": described.path.strip(),
        "description": described.description.strip(),
        "size_bytes": described.size_bytes,
        "file_count": described.file_count,
        "licence_name": described.licence_name.strip(),
        "licence_url": described.licence_url.strip(),
        "version": described.version.strip(),
        "released_on": described.released_on,
        "audience": described.audience,
    }


def _permits_set(data_set: DataSet, described: Described) -> None:
    """Only what differs is written: the history then says who was let in and who was taken out."""
    named = described.audience == DataSet.Audience.NAMED
    organisations = {row.pk for row in described.organisations} if named else set()
    projects = {row.pk for row in described.projects} if named else set()
    for row in data_set.permits.all():
        if row.organisation_id not in organisations and row.project_id not in projects:
            row.delete()
    there = set(data_set.permits.values_list("organisation", "project"))
    Permit.objects.bulk_create(
        [
            *(Permit(data_set=data_set, organisation_id=pk) for pk in sorted(organisations) if (pk, None) not in there),
            *(Permit(data_set=data_set, project_id=pk) for pk in sorted(projects) if (None, pk) not in there),
        ]
    )


def _check(described: Described) -> None:
    for field, most in _LINES:
        text = getattr(described, field).strip()
        if not text or len(text) > most or not is_plain_name(text):
            raise Invalid(
                _("Use 1 to %(most)d characters on one line, without straight quotation marks and \\ ` $ ; | < >.")
                % {"most": most},
                field=field,
            )
    if len(described.description) > DESCRIPTION_LENGTH or not is_plain_text(described.description):
        raise Invalid(_("Use at most 10,000 characters, without control characters."), field="description")
    if not re.fullmatch(PATH_FORM, described.path.strip()) or len(described.path) > 500:
        raise Invalid(
            _(
                "Write the whole path from “/”: letters without marks, digits and . _ + @ -, no “..” and no “/” at the "
                "end."
            ),
            field="path",
        )
    for field in ("size_bytes", "file_count"):
        if not 0 <= getattr(described, field) < 2**60:
            raise Invalid(_("This is no size of a data set."), field=field)
    _check_licence(described.licence_url.strip())
    if described.audience not in DataSet.Audience.values:
        raise Invalid(_("Say who may use it."), field="audience")
    if described.audience == DataSet.Audience.NAMED and not (described.organisations or described.projects):
        raise Invalid(_("Name at least one organisation or project."), field="organisations")


def _check_licence(address: str) -> None:
    try:
        if address:
            _WEB_ADDRESS(address)
    except ValidationError as error:
        raise Invalid(_("Write a web address: https://…"), field="licence_url") from error
