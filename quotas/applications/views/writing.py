"""Pages on which an application is written. A field saves itself while one types (htmx); a button saves a section."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from portal.clock import now
from portal.files.errors import FilesError
from portal.people.models import User
from portal.people.rules import manages_any
from portal.web.requests import PersonRequest
from quotas.applications import selectors, services
from quotas.applications.errors import ApplicationError, CallClosed, Incomplete, OtherPart, WrongState
from quotas.applications.fields import ATTACHMENTS, QUESTIONS, REVIEW, SECTIONS, Kind
from quotas.applications.forms import AnswerFileForm, AttachmentForm, BeginForm, EstimateForm, WriterForm
from quotas.applications.grace import grace_minutes
from quotas.applications.models import Application
from quotas.applications.pages import Draft, draft_page

UNREADABLE = 422


class HtmxRequest(PersonRequest):
    htmx: bool


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def begin(request: PersonRequest) -> HttpResponse:
    """For which organisation, to which call; with an estimate in the address, also into which draft it goes."""
    if not (manages_any(request.user) or selectors.drafts_of(request.user).exists()):
        raise Http404
    estimate = EstimateForm(request.POST if request.method == "POST" else request.GET)
    source = _source(request)
    initial = {"call": request.GET.get("call"), "organisation": source.organisation if source else None}
    form = BeginForm(request.POST or None, person=request.user, at=now(), initial=initial)
    if form.is_valid():
        try:
            made = services.application_begin(
                person=request.user, answers=estimate.texts(), copy_of=source, **form.cleaned_data
            )
        except ApplicationError as error:
            form.add_error(error.field if error.field in form.fields else None, str(error))
        else:
            return redirect("applications:section", made.pk, "project")
    context = {
        "form": form,
        "estimate": estimate.texts(),
        "source": source,
        "drafts": selectors.drafts_of(request.user)[:20] if estimate.texts() else [],
        "calls": selectors.calls_to_apply_to(now()),
        "may_apply": manages_any(request.user),
        "grace_minutes": grace_minutes(),
    }
    return render(request, "applications/begin.html", context, status=UNREADABLE if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def section(request: PersonRequest, pk: int, slug: str) -> HttpResponse:
    """One step of the form. POST saves what can be saved and goes to the step that was asked for."""
    application = selectors.application_get_written(request.user, pk)
    if slug not in SECTIONS or (slug == QUESTIONS and application.question_set is None):
        raise Http404
    if not application.is_written and request.method != "POST":
        messages.info(request, _("This application is not being written any more."))
        return redirect("applications:detail", pk)
    draft = Draft(application, slug)
    if request.method == "POST" and slug not in (ATTACHMENTS, REVIEW):
        draft.save(request.user, request.POST)
    if request.method == "POST" and not draft.refused:
        resolve = request.POST.get("resolve", "")
        if resolve.isdecimal() and len(resolve) < 19:
            _resolve(request, application, int(resolve))
            return redirect("applications:section", pk, slug)
        following = request.POST.get("next", slug)
        if following == slug:
            messages.success(request, _("Saved."))
        return redirect("applications:section", pk, following if following in SECTIONS else slug)
    return draft_page(request, draft, status=UNREADABLE if draft.refused else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def field(request: PersonRequest, pk: int, key: str) -> HttpResponse:
    """One field, for htmx. POST saves it and answers what is said beside it; GET is the field as it stands now."""
    application = selectors.application_get_written(request.user, pk)
    draft = Draft.of_field(application, key)
    if request.method != "POST":
        return render(request, "applications/field.html", {"row": draft.rows()[0], "application": application})
    over = request.POST.get("over", "")
    draft.save(request.user, request.POST, over=int(over) if over.isdecimal() and len(over) < 10 else None)
    if draft.is_seen:
        return HttpResponse(status=204)  # nothing is swapped: the buttons stay under the pointer
    context = {"row": draft.rows()[0], "application": application}
    return render(request, "applications/said.html", context, status=UNREADABLE if draft.refused else 200)


@require_POST
@login_required
def submit(request: PersonRequest, pk: int) -> HttpResponse:
    application = selectors.application_get_own(request.user, pk)
    try:
        services.draft_submit(person=request.user, application=application)
    except (Incomplete, CallClosed, OtherPart) as error:
        messages.error(request, str(error))
        return redirect("applications:section", pk, REVIEW)
    except WrongState as error:
        # A second click, or another manager: what was wanted is done.
        application.refresh_from_db()
        if application.state == Application.State.SUBMITTED:
            messages.info(request, _("The application was submitted already."))
        else:
            messages.error(request, str(error))
    else:
        messages.success(request, _("The application was submitted. Everybody who wrote it gets a mail."))
    return redirect("applications:detail", pk)


@require_POST
@login_required
def take_over(request: PersonRequest, pk: int) -> HttpResponse:
    """What the estimator computed goes into a draft."""
    application = selectors.application_get_written(request.user, pk)
    texts = EstimateForm(request.POST).texts()
    try:
        services.answers_save(person=request.user, application=application, texts=texts)
    except ApplicationError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("The estimate was taken over."))
    return redirect("applications:section", pk, "request")


@require_POST
@login_required
def adopt(request: PersonRequest, pk: int) -> HttpResponse:
    application = selectors.application_get_written(request.user, pk)
    try:
        services.questions_adopt(person=request.user, application=application)
    except ApplicationError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("These are the new questions. Answers to questions that stayed were kept."))
    return redirect("applications:section", pk, QUESTIONS)


@require_POST
@login_required
def resolve(request: HtmxRequest, pk: int, comment_pk: int) -> HttpResponse:
    """Marks a comment as resolved, or not; htmx gets the comment as it stands then."""
    application = selectors.application_get_written(request.user, pk)
    _resolve(request, application, comment_pk)
    if not request.htmx:
        return redirect("applications:section", pk, REVIEW)
    context = {"comment": selectors.comment_get(request.user, pk, comment_pk), "application": application}
    return render(request, "applications/comment.html", context | {"may_resolve": True})


# --- attachments ----------------------------------------------------------------------------------------------------


@require_POST
@login_required
def attach(request: PersonRequest, pk: int) -> HttpResponse:
    application = selectors.application_get_written(request.user, pk)
    form = AttachmentForm(request.POST, request.FILES)
    if form.is_valid():
        try:
            services.attachment_add(person=request.user, application=application, upload=form.cleaned_data["file"])
        except (ApplicationError, FilesError) as error:
            form.add_error("file", str(error))
        else:
            messages.success(request, _("The file was added."))
            return redirect("applications:section", pk, ATTACHMENTS)
    return draft_page(request, Draft(application, ATTACHMENTS), attachment_form=form, status=UNREADABLE)


@require_POST
@login_required
def attachment_remove(request: PersonRequest, pk: int, attachment_pk: int) -> HttpResponse:
    selectors.application_get_written(request.user, pk)
    found = selectors.attachment_get(request.user, pk, attachment_pk)
    try:
        services.attachment_remove(person=request.user, attachment=found)
    except ApplicationError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("The file was taken away."))
    return redirect("applications:section", pk, ATTACHMENTS)


@require_POST
@login_required
def answer_file(request: HtmxRequest, pk: int, key: str) -> HttpResponse:
    """The file that answers a question. htmx gets its form back; without it, the whole page."""
    application = selectors.application_get_written(request.user, pk)
    draft = Draft.of_field(application, key, kind=Kind.FILE)
    current = next((one for one in selectors.attachments_of(application) if one.key == key), None)
    form = AnswerFileForm(request.POST, request.FILES, field=draft.fields[key], current=current)
    if form.is_valid():
        upload = form.cleaned_data["file"]
        try:
            if upload is False and current is not None:
                services.attachment_remove(person=request.user, attachment=current)
            elif upload and "file" in form.changed_data:
                services.attachment_add(person=request.user, application=application, upload=upload, key=key)
        except (ApplicationError, FilesError) as error:
            form.add_error("file", str(error))
    status = UNREADABLE if form.errors else 200
    if request.htmx:
        part = draft.file_parts({} if status == 200 else {key: form})[0]
        return render(request, "applications/answer_file.html", {"part": part}, status=status)
    if form.errors:
        return draft_page(request, Draft(application, QUESTIONS), file_forms={key: form}, status=status)
    return redirect("applications:section", pk, QUESTIONS)


# --- who writes -----------------------------------------------------------------------------------------------------


@require_POST
@login_required
def writer_add(request: PersonRequest, pk: int) -> HttpResponse:
    application = selectors.application_get_own(request.user, pk)
    form = WriterForm(request.POST, application=application)
    if form.is_valid():
        user: User = form.cleaned_data["user"]
        services.writer_add(person=request.user, application=application, user=user)
        messages.success(request, _("%(person)s writes this application now, too.") % {"person": user})
        return redirect("applications:section", pk, "project")
    return draft_page(request, Draft(application, "project"), writer_form=form, status=UNREADABLE)


@require_POST
@login_required
def writer_remove(request: PersonRequest, pk: int, user_pk: int) -> HttpResponse:
    application = selectors.application_get_own(request.user, pk)
    user = User.objects.filter(pk=user_pk, pk__in=application.writers.values("user")).first()
    if user is not None:
        services.writer_remove(person=request.user, application=application, user=user)
        messages.success(request, _("%(person)s does not write this application any more.") % {"person": user})
    return redirect("applications:section", pk, "project")


def _source(request: PersonRequest) -> Application | None:
    """The application whose texts are taken over into a new one; None where the address names none."""
    number = (request.POST if request.method == "POST" else request.GET).get("from", "")
    if not number.isdecimal() or len(number) > 18:
        return None
    return selectors.application_get_written(request.user, int(number))


def _resolve(request: PersonRequest, application: Application, comment_pk: int) -> None:
    comment = selectors.comment_get(request.user, application.pk, comment_pk)
    try:
        services.comment_resolve(person=request.user, comment=comment, resolved=comment.resolved_at is None)
    except ApplicationError as error:
        messages.error(request, str(error))
