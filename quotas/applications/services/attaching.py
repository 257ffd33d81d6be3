"""Attachments of an application that is being written: added, taken away, and dropped for good a day later."""

from datetime import timedelta

from django.conf import settings
from django.core.files import File
from django.db import transaction
from django.db.models import Sum
from django.utils.translation import gettext as _

from portal.audit.context import acting
from portal.clock import now
from portal.files.services import file_store
from portal.files.units import size_text
from portal.people.models import Organisation, User
from quotas.applications.errors import Invalid
from quotas.applications.fields import Kind, fields_of
from quotas.applications.models import Application, Attachment, Submission
from quotas.applications.services.drafting import application_lock, check_writing, field_of

ATTACHMENTS_MOST = 10
REMOVED_KEPT = timedelta(days=1)


def attachment_add(*, person: User, application: Application, upload: File, key: str = "") -> Attachment:
    """Adds a PDF; as the answer to a question it takes the place of the one before.

    Raises NotWriter, WrongState, Invalid; what portal.files refuses (FilesError). Nothing is stored then.
    """
    check_writing(person, application)
    if key and field_of(fields_of(application), key).kind != Kind.FILE:
        raise Invalid(_("This question is not answered with a file."), field=key)
    _check_room(application, key, upload.size or 0)
    stored = file_store(upload=upload, person=person)  # reads the whole upload: outside the application's lock
    with transaction.atomic(), acting(person, "attachment_add"):
        locked = application_lock(application)
        check_writing(person, locked)
        # Two uploads at once queue here, so that the second counts the first.
        Organisation.objects.select_for_update(no_key=True).get(pk=locked.organisation_id)
        _check_room(locked, key, stored.size_bytes)
        if key:
            locked.attachments.filter(removed_at__isnull=True, key=key).update(removed_at=now())
        return Attachment.objects.create(application=locked, key=key, file=stored, added_by=person, added_at=now())


def attachment_remove(*, person: User, attachment: Attachment) -> None:
    """Takes it away; what was submitted with it keeps it. Raises NotWriter, WrongState."""
    with transaction.atomic(), acting(person, "attachment_remove"):
        check_writing(person, application_lock(attachment.application))
        Attachment.objects.filter(pk=attachment.pk, removed_at__isnull=True).update(removed_at=now())


def attachments_drop(*, actor: str) -> int:
    """Drops what was taken away more than a day ago and no submission shows; the files follow (portal.files). Returns
    how many."""
    removed = Attachment.objects.filter(removed_at__lt=now() - REMOVED_KEPT)
    submissions = Submission.objects.filter(application__in=removed.values("application"))
    shown = {one["file"] for attachments in submissions.values_list("attachments", flat=True) for one in attachments}
    dropped = 0
    with acting(actor, "attachments_drop"):
        for row in removed.order_by("pk"):
            if str(row.file_id) not in shown:
                row.delete()
                dropped += 1
    return dropped


def draft_files_bytes(organisation_id: int) -> int:
    """What the organisation's applications hold that are being written, each upload counted; what was taken away counts
    until it is dropped, so that nobody fills the disk by taking away."""
    rows = Attachment.objects.filter(
        application__organisation=organisation_id,
        application__state__in=[Application.State.DRAFT, Application.State.RETURNED],
    )
    return rows.aggregate(sum=Sum("file__size_bytes"))["sum"] or 0


def _check_room(application: Application, key: str, size_bytes: int) -> None:
    there = application.attachments.filter(removed_at__isnull=True, key="")
    if not key and there.count() >= ATTACHMENTS_MOST:
        raise Invalid(_("An application has at most %(most)d attachments.") % {"most": ATTACHMENTS_MOST})
    used, limit = draft_files_bytes(application.organisation_id), settings.DRAFT_FILES_LIMIT_BYTES
    if used + size_bytes > limit:
        text = _(
            "The applications that your organisation is writing hold %(used)s of files; together they may hold "
            "%(limit)s. Submit one, or take files away: their room is free again after a day."
        )
        raise Invalid(text % {"used": size_text(used), "limit": size_text(limit)}, field=key)
