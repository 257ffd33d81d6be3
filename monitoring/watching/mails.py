"""Mails about findings: to whom the step is for, in each one's language, once a step and person."""

from collections.abc import Iterable

from django.conf import settings
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from monitoring.watching.models import Finding
from monitoring.watching.words import said, subject_text
from portal.outbox.services import message_write
from portal.people.models import CentreRole, ProjectMembership, User
from scheduler.jobs.durations import duration_text
from scheduler.jobs.models import Job

Kind = Finding.Kind


def tell(finding: Finding, *, cancels: bool) -> None:
    """In the caller's transaction. `cancels`: a rule lets the portal cancel this job in the end."""
    job = finding.job
    if job is None:
        _write(finding, _operators(), cancels=False)
        return
    people = _people(job, finding)
    if people:
        _write(finding, people, cancels=cancels)
    if finding.kind == Kind.SILENT or not people:
        _write(finding, _operators(), cancels=cancels)


def _people(job: Job, finding: Finding) -> list[User]:
    """The person at first, then the project's principal investigators too."""
    people = [job.person] if job.person is not None and job.person.is_active else []
    if finding.warned >= Finding.PROJECT or not people:
        leaders = ProjectMembership.objects.filter(
            project=job.project_id, role=ProjectMembership.Role.PI, user__is_active=True
        ).select_related("user")
        people += [row.user for row in leaders if row.user not in people]
    return people


def _operators() -> list[User]:
    operators = CentreRole.objects.filter(role=CentreRole.Role.OPERATOR, user__is_active=True).select_related("user")
    return [row.user for row in operators]


def _write(finding: Finding, people: Iterable[User], *, cancels: bool) -> None:
    for person in people:
        with translation.override(person.language):
            own = finding.job is not None and finding.job.person_id == person.pk
            subject, body = _texts(finding, cancels=cancels, own=own)
            message_write(
                topic="mail.send",
                key=f"finding {finding.pk} {finding.warned} {person.pk}",
                payload={"to": [person.email], "subject": subject, "body": body},
            )


def _texts(finding: Finding, *, cancels: bool, own: bool) -> tuple[str, str]:
    what = said(finding)
    name = subject_text(finding)
    if finding.job is None:
        subject = f"{finding.get_kind_display()}: {finding.node or name}"
        address = reverse("watching:finding", args=[finding.pk])
        where = _("Node %(node)s of %(cluster)s") % {"node": finding.node, "cluster": finding.cluster}
        first = f"{where}, {name}." if name != finding.node else f"{where}."
    else:
        subject = _subject(finding, own=own) % {"name": name}
        address = reverse("jobs:job", args=[finding.job.pk])
        first = _("Job “%(name)s” of project “%(project)s” on %(cluster)s.") % {
            "name": name,
            "project": finding.job.project,
            "cluster": finding.cluster,
        }
    parts = [first, what.text, *_then(finding, cancels=cancels)]
    if finding.warned < Finding.CANCELLED:
        parts.append(_("What to do: %(todo)s") % {"todo": what.todo})
    return subject, "\n\n".join([*parts, settings.SITE_URL.rstrip("/") + address]) + "\n"


def _subject(finding: Finding, *, own: bool) -> str:
    if finding.warned >= Finding.CANCELLED:
        return _("The job “%(name)s” was cancelled: its GPUs did nothing")
    if finding.kind == Kind.IDLE:
        return _("GPUs of your job “%(name)s” do nothing") if own else _("GPUs of the job “%(name)s” do nothing")
    if finding.kind == Kind.SILENT:
        if own:
            return _("The GPU figures of your job “%(name)s” do not fit each other")
        return _("The GPU figures of the job “%(name)s” do not fit each other")
    if own:
        return _("Your job “%(name)s” declared more than is possible")
    return _("The job “%(name)s” declared more than is possible")


def _then(finding: Finding, *, cancels: bool) -> list[str]:
    """What the portal does next by itself."""
    if finding.kind != Kind.IDLE:
        return []
    wait = {"time": duration_text(int(settings.WATCH_STEP_S))}
    if finding.warned >= Finding.CANCELLED:
        return [_("As nothing changed, it was cancelled by the centre's rule. What it used until then is charged.")]
    if finding.warned == Finding.PROJECT:
        if cancels:
            return [_("Its owner was told before. If nothing changes within %(time)s it is cancelled.") % wait]
        return [_("Its owner was told before. It is not cancelled by itself.")]
    return [_("If nothing changes within %(time)s its project is told as well.") % wait]
