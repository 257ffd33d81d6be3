"""A call's reviews as the centre arranges and reads them: who reviews what, and the ranking."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from portal.people.models import User
from portal.people.rules import is_operator
from portal.web.requests import PersonRequest
from quotas.applications.errors import ApplicationError
from quotas.reviews import selectors, services
from quotas.reviews.forms import AssignForm, ReviewerForm
from quotas.reviews.ranking import ranking_of
from quotas.reviews.views.parts import ROWS_A_PAGE, done


@require_safe
@login_required
def calls(request: PersonRequest) -> HttpResponse:
    page = Paginator(selectors.calls_in_review(request.user), ROWS_A_PAGE).get_page(request.GET.get("page"))
    return render(request, "reviews/calls.html", {"page": page})


@require_safe
@login_required
def ranking(request: PersonRequest, slug: str) -> HttpResponse:
    call = selectors.call_get_in_review(request.user, slug)
    text = request.GET.get("page", "1")
    number = int(text) if text.isdecimal() and 0 < len(text) < 6 else 1
    found = ranking_of(request.user, call, offset=(max(number, 1) - 1) * ROWS_A_PAGE, limit=ROWS_A_PAGE)
    # The page was read with its count: the paginator only counts.
    page = Paginator(range(found.count), ROWS_A_PAGE).get_page(number)
    context = {"call": call, "ranking": found, "page": page, "may_arrange": is_operator(request.user)}
    return render(request, "reviews/ranking.html", context)


@require_safe
@login_required
def matrix(request: PersonRequest, slug: str) -> HttpResponse:
    call = selectors.call_get_in_review(request.user, slug)
    page = Paginator(selectors.matrix_places(call), ROWS_A_PAGE).get_page(request.GET.get("page"))
    reviewers = selectors.reviewers_of(call)
    may_arrange = is_operator(request.user)
    rows = selectors.matrix_rows(list(page.object_list), reviewers)
    context = {
        "call": call,
        "page": page,
        "rows": rows,
        "reviewers": reviewers,
        "may_arrange": may_arrange,
        "form": ReviewerForm(call=call) if may_arrange else None,
    }
    return render(request, "reviews/matrix.html", context)


@require_POST
@login_required
def reviewer_add(request: PersonRequest, slug: str) -> HttpResponse:
    call = selectors.call_get_arranged(request.user, slug)
    form = ReviewerForm(request.POST, call=call)
    if done(
        form,
        lambda: services.reviewer_add(person=request.user, call=call, reviewer=form.cleaned_data["reviewer"]),
    ):
        _say(request, _("%(person)s reviews for this call now."), form.cleaned_data["reviewer"])
    else:
        messages.error(request, _("Choose a reviewer of the list."))
    return redirect("reviews:matrix", slug)


@require_POST
@login_required
def reviewer_leave(request: PersonRequest, slug: str, pk: int) -> HttpResponse:
    call = selectors.call_get_arranged(request.user, slug)
    reviewer = get_object_or_404(User, pk=pk)
    try:
        services.reviewer_leave(person=request.user, call=call, reviewer=reviewer)
    except ApplicationError as error:
        messages.error(request, str(error))
    else:
        _say(request, _("%(person)s reviews for this call no more."), reviewer)
    return redirect("reviews:matrix", slug)


@require_POST
@login_required
def match(request: PersonRequest, slug: str) -> HttpResponse:
    """Assign by expertise and load."""
    call = selectors.call_get_arranged(request.user, slug)
    found = services.assign_by_expertise(person=request.user, call=call)
    count, unmet = len(found.matches), sum(found.unmet.values())
    messages.success(
        request,
        ngettext("%(count)d review was assigned.", "%(count)d reviews were assigned.", count) % {"count": count},
    )
    if unmet:
        messages.warning(
            request,
            ngettext(
                "%(count)d review is still missing: nobody else is free of conflicts and has room.",
                "%(count)d reviews are still missing: nobody else is free of conflicts and has room.",
                unmet,
            )
            % {"count": unmet},
        )
    return redirect("reviews:matrix", slug)


@require_POST
@login_required
def assign(request: PersonRequest, slug: str) -> HttpResponse:
    """One application to one reviewer, by hand."""
    call = selectors.call_get_arranged(request.user, slug)
    form = AssignForm(request.POST, call=call)
    if done(form, lambda: services.assignment_make(person=request.user, **form.cleaned_data)):
        _say(
            request, _("%(person)s has the application to review, and is told by mail."), form.cleaned_data["reviewer"]
        )
    else:
        messages.error(request, " ".join(str(text) for errors in form.errors.values() for text in errors))
    return redirect("reviews:matrix", slug)


@require_POST
@login_required
def unassign(request: PersonRequest, slug: str, pk: int) -> HttpResponse:
    assignment = selectors.assignment_get_arranged(request.user, slug, pk)
    try:
        services.assignment_remove(person=request.user, assignment=assignment)
    except ApplicationError as error:
        messages.error(request, str(error))
    else:
        _say(request, _("The review was taken back; %(person)s is told by mail."), assignment.reviewer)
    return redirect("reviews:matrix", slug)


def _say(request: PersonRequest, text: str, person: User) -> None:
    messages.success(request, text % {"person": person})
