"""Presets for those who keep them: what there is, one version, what differs, and what is offered.

Whoever is no operator finds none of it: every view begins with `preset_kept` or `presets_kept`.
"""

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from portal.files.responses import only_download
from portal.web.requests import PersonRequest
from scheduler.jobs.library import services
from scheduler.jobs.library.checking import NO_SHELLCHECK, has_shellcheck, preset_faults, script_of
from scheduler.jobs.library.comparing import compared
from scheduler.jobs.library.errors import LibraryError
from scheduler.jobs.library.forms import PreviewForm, WhyForm
from scheduler.jobs.library.selectors import Edition, Kept, edition_get, preset_kept, presets_kept

get_or_post = require_http_methods(["GET", "HEAD", "POST"])


@require_safe
@login_required
def preset_list(request: PersonRequest) -> HttpResponse:
    return render(request, "library/list.html", {"kept": presets_kept(request.user)})


@require_safe
@login_required
def preset(request: PersonRequest, slug: str) -> HttpResponse:
    """Its versions, and all that was done."""
    kept = preset_kept(request.user, slug)
    return render(request, "library/preset.html", {"kept": kept, "offered": _offered(kept)})


@require_safe
@login_required
def edition(request: PersonRequest, slug: str, number: int) -> HttpResponse:
    """One version: what it says, what is wrong with it, and a script that it writes."""
    kept = preset_kept(request.user, slug)
    found = edition_get(kept, number)
    preview = PreviewForm(request.GET or None)
    context = {"kept": kept, "edition": found, "offered": _offered(kept), "preview": preview}
    return render(request, "library/edition.html", context | checked(found, preview))


@require_safe
@login_required
def compare(request: PersonRequest, slug: str) -> HttpResponse:
    """Two versions side by side: those that are named, else what is offered and the newest."""
    kept = preset_kept(request.user, slug)
    offered = _offered(kept)
    before = _number(kept, request.GET.get("before", ""), offered if offered is not None else kept.editions[-1])
    after = _number(kept, request.GET.get("after", ""), kept.editions[0])
    first, second = edition_get(kept, before), edition_get(kept, after)
    context = {
        "kept": kept,
        "before": before,
        "after": after,
        "definition": compared(first.definition, second.definition),
        "script": compared(first.script, second.script),
    }
    return render(request, "library/compare.html", context)


@get_or_post
@login_required
def offer(request: PersonRequest, slug: str, number: int) -> HttpResponse:
    """What will be offered from now on; the reason is what confirms it."""
    kept = preset_kept(request.user, slug)
    found = edition_get(kept, number)
    form = _why(request, kept)
    if form.is_valid():
        try:
            services.offer_make(kept=kept, edition=found, person=request.user, **form.cleaned_data)
        except LibraryError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, _("Version %(number)d is offered now.") % {"number": number})
            return redirect("library:preset", slug)
    context = {"kept": kept, "edition": found, "form": form, "offered": _offered(kept)}
    if found.preset and number:
        context["faults"] = preset_faults(found.preset)
    return render(request, "library/offer.html", context, status=422 if form.errors else 200)


@get_or_post
@login_required
def withdraw(request: PersonRequest, slug: str) -> HttpResponse:
    kept = preset_kept(request.user, slug)
    form = _why(request, kept)
    if form.is_valid():
        try:
            services.offer_withdraw(kept=kept, person=request.user, **form.cleaned_data)
        except LibraryError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, _("It is offered no more."))
            return redirect("library:preset", slug)
    context = {"kept": kept, "form": form}
    return render(request, "library/withdraw.html", context, status=422 if form.errors else 200)


@require_safe
@login_required
def definition_file(request: PersonRequest, slug: str, number: int) -> HttpResponse:
    found = edition_get(preset_kept(request.user, slug), number)
    return _file(found.definition, f"{slug}.toml")


@require_safe
@login_required
def script_file(request: PersonRequest, slug: str, number: int) -> HttpResponse:
    found = edition_get(preset_kept(request.user, slug), number)
    return _file(found.script, f"{slug}.sh")


# --- parts --------------------------------------------------------------------------------------------------------


def checked(found: Edition, preview: PreviewForm) -> dict[str, object]:
    """What is wrong with a version, and the script that it writes for a shape and an environment."""
    context: dict[str, object] = {"fault": found.fault, "faults": [], "written": None}
    if not has_shellcheck():
        context["not_looked"] = NO_SHELLCHECK
    if found.preset is None:
        return context
    nodes, gpus_per_node, place = preview.chosen()
    place = place if place in found.preset.environments else found.preset.environments[0]
    written = script_of(found.preset, nodes, gpus_per_node, place)
    return context | {"faults": preset_faults(found.preset), "written": written}


def _offered(kept: Kept) -> int | None:
    """The number of the version that is offered; None: none is."""
    return kept.offered.edition if kept.offered else None


def _number(kept: Kept, wanted: str, otherwise: int) -> int:
    number = int(wanted) if wanted.isascii() and wanted.isdecimal() and len(wanted) < 7 else -1
    return number if number in kept.editions else otherwise


def _why(request: PersonRequest, kept: Kept) -> forms.Form:
    return WhyForm(request.POST if request.method == "POST" else None, initial={"seen": kept.seen})


def _file(text: str, name: str) -> HttpResponse:
    response = HttpResponse(text, content_type="text/plain; charset=utf-8")
    only_download(response, name)
    return response
