"""Applying and withdrawing. Whether a person may see an application is decided by the selector that fetched it."""

from collections.abc import Sequence
from datetime import date

from django.db import transaction
from django.utils.translation import gettext as _

from portal.audit.context import acting
from portal.clock import centre_date, now
from portal.people.models import Organisation, User
from portal.people.rules import manages
from quotas.applications.errors import Invalid, NotManager, WrongState
from quotas.applications.models import Application
from quotas.applications.registry import withdrawals
from quotas.programmes.models import Programme
from quotas.texts import is_plain_name, is_plain_text

State = Application.State
GPU_HOURS_MAX = 100_000_000  # three times what Llama 3 took: a slip of the keyboard, not a plan


def application_submit(
    *,
    person: User,
    organisation: Organisation,
    programme: Programme,
    project_title: str,
    purpose: str,
    gpu_type: str,
    gpu_hours: int,
    starts_on: date,
    ends_on: date,
) -> Application:
    """Asks a programme for GPU-hours for a project of an organisation that the person manages.

    Raises NotManager, Invalid (with the field that is wrong).
    """
    if not manages(person, organisation):
        raise NotManager(field="organisation")
    title = " ".join(project_title.split(" ")).strip()
    _check_texts(title, purpose)
    _check_request(programme, gpu_type, gpu_hours, starts_on, ends_on)
    with transaction.atomic(), acting(person, "application_submit"):
        moment = now()
        return Application.objects.create(
            programme=programme,
            organisation=organisation,
            applicant=person,
            project_title=title,
            purpose=purpose.replace("\r\n", "\n").strip(),
            gpu_type=gpu_type,
            gpu_hours=gpu_hours,
            starts_on=starts_on,
            ends_on=ends_on,
            submitted_at=moment,
            created_at=moment,
            updated_at=moment,
        )


def _check_texts(title: str, purpose: str) -> None:
    if not 3 <= len(title) <= 200 or not is_plain_name(title):
        raise Invalid(
            _("Use 3 to 200 characters on one line, without straight quotation marks and \\ ` $ ; | < >."),
            field="project_title",
        )
    if not purpose.strip() or len(purpose) > 10_000 or not is_plain_text(purpose):
        raise Invalid(_("Say in 1 to 10,000 characters, without control characters, what it is for."), field="purpose")


def _check_request(programme: Programme, gpu_type: str, gpu_hours: int, starts_on: date, ends_on: date) -> None:
    today = centre_date(now())
    if programme.imported or not programme.starts_on <= today <= programme.ends_on:
        raise Invalid(_("This programme takes no applications today."), field="programme")
    if not programme.pools.filter(gpu_type=gpu_type).exists():
        raise Invalid(_("This programme has no GPUs of this type."), field="gpu_type")
    if not 1 <= gpu_hours <= GPU_HOURS_MAX:
        raise Invalid(_("Ask for 1 to 100,000,000 GPU-hours."), field="gpu_hours")
    if starts_on < today:
        raise Invalid(_("The first day cannot lie in the past."), field="starts_on")
    if ends_on < starts_on:
        raise Invalid(_("The last day cannot come before the first."), field="ends_on")
    if ends_on > programme.ends_on:
        raise Invalid(_("The programme ends before this day."), field="ends_on")


def application_withdraw(*, person: User, application: Application) -> None:
    """Takes an undecided application back; what waits for it in review falls with it. Raises NotManager, WrongState."""
    if not manages(person, application.organisation):
        raise NotManager
    with transaction.atomic(), acting(person, "application_withdraw"):
        application_state_move(application, [State.SUBMITTED, State.PROPOSED], State.WITHDRAWN)
        withdrawals.follow(application, person)


def application_state_move(application: Application, before: Sequence[str], after: str) -> None:
    """For services, in their transaction: from one of some states to another. Raises WrongState.

    Compare and set: of two who act on the same application at once, the second is told what the first made of it.
    """
    moved = Application.objects.filter(pk=application.pk, state__in=before).update(state=after, updated_at=now())
    if not moved:
        application.refresh_from_db(fields=["state"])
        raise WrongState(application.get_state_display())
    application.state = after
