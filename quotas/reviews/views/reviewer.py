"""A reviewer's pages: the list, the question of interest, the form, the expertise."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal.clock import centre_date, now
from portal.people.rules import is_reviewer
from portal.web.requests import PersonRequest
from quotas.applications.errors import ApplicationError
from quotas.applications.models import Application
from quotas.applications.selectors import shown_to
from quotas.programmes.models import Criterion
from quotas.reviews import selectors, services
from quotas.reviews.forms import ExpertiseForm, InterestForm, ReviewForm
from quotas.reviews.models import Assignment, ReviewerProfile
from quotas.reviews.views.parts import CARD_ROWS, done

State = Assignment.State


@require_safe
@login_required
def review_list(request: PersonRequest) -> HttpResponse:
    rows = list(selectors.reviews_of(request.user))
    context = {
        "open_rows": [one for one in rows if one.state != State.SUBMITTED],
        "done_rows": [one for one in rows if one.state == State.SUBMITTED],
        "today": centre_date(now()),
    }
    return render(request, "reviews/list.html", context)


@require_safe
@login_required
def reviewer_card(request: PersonRequest) -> HttpResponse:
    """On a reviewer's home page: what is due first."""
    if not is_reviewer(request.user):
        return HttpResponse(status=204)
    rows = [one for one in selectors.reviews_of(request.user) if one.state != State.SUBMITTED]
    context = {"rows": rows[:CARD_ROWS], "count": len(rows), "today": centre_date(now())}
    return render(request, "reviews/reviewer_card.html", context)


@require_safe
@login_required
def review(request: PersonRequest, pk: int) -> HttpResponse:
    """First sight: the organisation and the question of interest. Then the application with the form beside it."""
    return _page(request, selectors.review_get(request.user, pk))


@require_POST
@login_required
def accept(request: PersonRequest, pk: int) -> HttpResponse:
    assignment = selectors.review_get(request.user, pk)
    try:
        services.review_accept(person=request.user, assignment=assignment)
    except ApplicationError as error:
        messages.error(request, str(error))
    return redirect("reviews:review", pk)


@require_POST
@login_required
def declare(request: PersonRequest, pk: int) -> HttpResponse:
    """An interest binds the reviewer: the review ends, and the application is not seen again."""
    assignment = selectors.review_get(request.user, pk)
    form = InterestForm(request.POST)
    if done(
        form,
        lambda: services.conflict_own_declare(
            person=request.user, assignment=assignment, reason=form.cleaned_data["reason"]
        ),
    ):
        messages.success(request, _("Thank you. Somebody else reviews this application."))
        return redirect("reviews:list")
    return _page(request, assignment, interest=form, status=422)


@require_POST
@login_required
def save(request: PersonRequest, pk: int) -> HttpResponse:
    """Autosave: answers with the line that says so."""
    assignment = selectors.review_get(request.user, pk)
    form = _form(assignment, request)
    saved = done(
        form,
        lambda: services.review_save(
            person=request.user, assignment=assignment, scores=form.scores(), comment=form.cleaned_data["comment"]
        ),
    )
    errors = [str(text) for field in form.errors.values() for text in field]
    return render(request, "reviews/saved.html", {"saved_at": now() if saved else None, "errors": errors})


@require_POST
@login_required
def submit(request: PersonRequest, pk: int) -> HttpResponse:
    assignment = selectors.review_get(request.user, pk)
    form = _form(assignment, request, whole=True)
    if done(
        form,
        lambda: services.review_submit(
            person=request.user, assignment=assignment, scores=form.scores(), comment=form.cleaned_data["comment"]
        ),
    ):
        messages.success(request, _("Your review is in. Thank you."))
        return redirect("reviews:review", pk)
    return _page(request, assignment, form=form, status=422)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def expertise(request: PersonRequest, pk: int) -> HttpResponse:
    reviewer = selectors.reviewer_get_profiled(request.user, pk)
    profile = ReviewerProfile.objects.filter(user=reviewer).first()
    form = ExpertiseForm(request.POST or None, profile=profile)
    if request.method == "POST" and done(
        form, lambda: services.expertise_set(person=request.user, reviewer=reviewer, **form.cleaned_data)
    ):
        messages.success(request, _("Saved."))
        return redirect("reviews:expertise", pk)
    status = 422 if request.method == "POST" else 200
    return render(request, "reviews/expertise.html", {"reviewer": reviewer, "form": form}, status=status)


def _form(assignment: Assignment, request: PersonRequest | None = None, *, whole: bool = False) -> ReviewForm:
    return ReviewForm(
        request.POST if request else None,
        criteria=list(Criterion.objects.filter(call=assignment.application.call_id)),
        assignment=assignment,
        scores=selectors.scores_of(assignment),
        whole=whole,
    )


def _page(
    request: PersonRequest,
    assignment: Assignment,
    *,
    form: ReviewForm | None = None,
    interest: InterestForm | None = None,
    status: int = 200,
) -> HttpResponse:
    context = {
        "assignment": assignment,
        "application": assignment.application,
        "interest": interest or InterestForm(),
        "today": centre_date(now()),
    }
    if assignment.state == State.ASSIGNED:
        return render(request, "reviews/interest.html", context, status=status)
    is_open = assignment.state == State.ACCEPTED and assignment.application.state == Application.State.SUBMITTED
    context |= {
        "shown": shown_to(request.user, assignment.application),
        "form": (form or _form(assignment, whole=True)) if is_open else None,
        "own": assignment.scores.select_related("criterion"),
        "others": selectors.reviews_of_others(assignment),
    }
    return render(request, "reviews/review.html", context, status=status)
