from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import FileResponse, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal.files.responses import file_response
from portal.people.rules import manages_any, reads_everything
from portal.web.requests import PersonRequest
from quotas.applications import selectors, services
from quotas.applications.errors import ApplicationError
from quotas.applications.fields import ATTACHMENTS, SECTORS
from quotas.applications.forms import FilterForm, ReturnForm
from quotas.applications.grace import RESUBMIT_DAYS, deadline_of, grace_minutes
from quotas.applications.models import Application
from quotas.applications.registry import application_cards
from quotas.applications.risk import risk_of
from quotas.applications.timeline import timeline_of

ROWS_A_PAGE = 50
CARD_ROWS = 5


@require_safe
@login_required
def application_list(request: PersonRequest) -> HttpResponse:
    form = FilterForm(request.GET, person=request.user, sectors=SECTORS)
    filters = form.filters()
    found = selectors.application_list(request.user, filters)
    page = Paginator(found, ROWS_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "rows": selectors.application_rows(cast("QuerySet[Application]", page.object_list)),
        "form": form,
        "is_filtered": any(request.GET.get(name) for name in ("q", "state", "call", "sector", "risk")),
        "may_apply": manages_any(request.user),
    }
    return render(request, "applications/list.html", context)


@require_safe
@login_required
def detail(request: PersonRequest, pk: int) -> HttpResponse:
    application = selectors.application_get(request.user, pk)
    shown = selectors.shown_to(request.user, application)
    context = {
        "application": application,
        "shown": shown,
        "risk": risk_of(shown.answers) if application.call_id else None,
        "deadline": deadline_of(application) if application.is_written else None,
        "grace_minutes": grace_minutes(),
        "verbs": selectors.verbs_of(request.user, application),
        "steps": timeline_of(application, is_ours=reads_everything(request.user)),
        "cards": application_cards.place(request.user, pk) if application.submitted_at else [],
    }
    return render(request, "applications/detail.html", context)


@require_safe
@login_required
def attachment(request: PersonRequest, pk: int, attachment_pk: int) -> FileResponse:
    """A download, for those who may read the application as it stands there."""
    return file_response(selectors.attachment_get(request.user, pk, attachment_pk).file)


@require_POST
@login_required
def withdraw(request: PersonRequest, pk: int) -> HttpResponse:
    application = selectors.application_get_own(request.user, pk)
    try:
        services.application_withdraw(person=request.user, application=application)
    except ApplicationError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("The application was withdrawn."))
    return redirect("applications:detail", pk)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def give_back(request: PersonRequest, pk: int) -> HttpResponse:
    """For operators: returns an application for changes, with comments beside its fields."""
    application = selectors.application_get_returnable(request.user, pk)
    shown = selectors.shown_to(request.user, application)
    keys = [row.field.key for section in shown.sections for row in section.rows]
    form = ReturnForm(request.POST or None, keys=[*keys, ATTACHMENTS])
    if form.is_valid():
        try:
            services.application_return(
                person=request.user,
                application=application,
                comments=form.comments(),
                reason=form.cleaned_data["reason"],
            )
        except ApplicationError as error:
            beside = f"comment-{error.field}" if error.field in form.keys else error.field
            form.add_error(beside if beside in form.fields else None, str(error))
        else:
            messages.success(request, _("The application was returned. Its people are told by mail."))
            return redirect("applications:detail", pk)
    context = {
        "application": application,
        "form": form,
        "sections": [
            (section.section, [(row, form.beside(row.field.key)) for row in section.rows]) for section in shown.sections
        ],
        "attachments": shown.attachments,
        "attachments_comment": form.beside(ATTACHMENTS),
        "days": RESUBMIT_DAYS,
        "verbs": selectors.verbs_of(request.user, application),
    }
    return render(request, "applications/return.html", context, status=422 if form.errors else 200)


@require_safe
@login_required
def card(request: PersonRequest) -> HttpResponse:
    """On the home page: the applications that the person writes."""
    written = selectors.application_list(request.user).filter(selectors.written_by(request.user))
    rows = selectors.application_rows(written[:CARD_ROWS])
    if not rows and not manages_any(request.user):
        return HttpResponse(status=204)
    return render(request, "applications/card.html", {"rows": rows, "may_apply": manages_any(request.user)})
