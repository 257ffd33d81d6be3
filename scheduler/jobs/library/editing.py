"""Writing a version of a preset: as a form, or from its files. The server works out all that the page shows."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from portal.web.requests import PersonRequest
from scheduler.jobs.library import services
from scheduler.jobs.library.errors import LibraryError
from scheduler.jobs.library.forms import (
    PREFIX,
    FieldForms,
    FieldSet,
    ImportForm,
    PresetForm,
    PreviewForm,
    field_initial,
    preset_initial,
    rearranged,
    sent_fields,
)
from scheduler.jobs.library.selectors import Edition, edition_get, preset_kept, presets_kept
from scheduler.jobs.library.views import checked
from scheduler.jobs.presets import common_fields
from scheduler.jobs.presets.definition import PresetInvalid, common_added, figures_parse, preset_make

get_or_post = require_http_methods(["GET", "HEAD", "POST"])
PROVISIONAL = "preset"  # the short name of one that has none yet, where only its scripts are looked at
BEGINNING = """#!/bin/bash
@{options}
# What it does, in a sentence.
program=@{program}
arguments=@{arguments}
workdir=@{workdir}
run_name=@{run_name}

@{folders}

@{environment}

@{launch}

run "${launcher[@]}" "$program" "${arguments[@]}"
"""
BEGINNING_FIELDS = ("program", "arguments", "workdir", "run_name")
BEGINNING_FIGURES = {
    "position": 50,
    "nodes": 1,
    "gpus_per_node": 1,
    "time_limit_s": 3600,
    "environments": ["system", "module", "conda", "apptainer", "enroot"],
    "launcher": "torchrun",
}


class Draft:
    """What an operator has filled in so far."""

    def __init__(self, data: QueryDict, *, is_new: bool) -> None:
        self.form = PresetForm(data, is_new=is_new)
        self.fields: FieldSet = FieldForms(data, prefix=PREFIX)
        self.is_valid = self.form.is_valid() & self.fields.is_valid()

    def figures(self) -> dict[str, Any]:
        return self.form.figures() | {"fields": [row.figures() for row in self.fields.forms]}

    def edition(self, slug: str) -> Edition:
        """As it would be saved. Only of a valid one."""
        script = self.form.cleaned_data["script"].replace("\r\n", "\n")
        try:
            return Edition(slug, 0, "", script, preset_make(slug, {"version": 1, **self.figures()}, script))
        except PresetInvalid as error:
            return Edition(slug, 0, "", script, None, error)


@get_or_post
@login_required
def new(request: PersonRequest) -> HttpResponse:
    """A preset of the centre's own, from the beginning or from a version of another (`like=NAME&version=3`)."""
    presets_kept(request.user)
    if request.method != "POST":
        return _page(request, *_begun(request))
    return _written(request, slug="", made_from=None)


@get_or_post
@login_required
def edit(request: PersonRequest, slug: str) -> HttpResponse:
    """The next version, from the one that `version` names or the newest."""
    kept = preset_kept(request.user, slug)
    wanted = request.GET.get("version", "")
    number = int(wanted) if wanted.isascii() and wanted.isdecimal() and len(wanted) < 7 else kept.editions[0]
    base = edition_get(kept, number)
    if request.method != "POST":
        return _page(request, *_of(base), base=base)
    return _written(request, slug=slug, made_from=number, base=base)


@require_POST
@login_required
def check(request: PersonRequest) -> HttpResponse:
    """Beside the form, as it is filled in: what is wrong, and a script. Writes nothing."""
    presets_kept(request.user)
    draft = Draft(request.POST, is_new=False)
    return render(request, "library/_checked.html", _looked(draft, PreviewForm(request.POST)))


@get_or_post
@login_required
def import_files(request: PersonRequest) -> HttpResponse:
    """A version from two files, as they are handed out here and lie in a centre's repository."""
    presets_kept(request.user)
    form = ImportForm(request.POST or None, request.FILES or None)
    if form.is_valid():
        data = form.cleaned_data
        try:
            services.slug_check(data["slug"])
            figures = common_added(figures_parse(data["definition"]), common_fields())
            preset_make(data["slug"], figures, data["script"])
            saved = services.version_save(
                slug=data["slug"],
                figures=figures,
                script=data["script"],
                made_from=None,
                why=data["why"],
                person=request.user,
            )
        except PresetInvalid as error:
            form.add_error("definition", str(error))
        except LibraryError as error:
            form.add_error(error.field or None, str(error))
        else:
            messages.success(request, _("Version %(number)d is there. Nobody is offered it yet.") % _numbered(saved))
            return redirect("library:edition", saved.slug, saved.version)
    return render(request, "library/import.html", {"form": form}, status=422 if form.errors else 200)


# --- parts --------------------------------------------------------------------------------------------------------


def _written(request: PersonRequest, *, slug: str, made_from: int | None, base: Edition | None = None) -> HttpResponse:
    """The form was sent: to be saved, or with one thing in it changed."""
    asked = request.POST.get("do", "")
    if asked:
        rows = rearranged(sent_fields(request.POST), asked, common_fields())
        return _page(
            request, PresetForm(initial=request.POST.dict() | _many(request), is_new=not slug), _rows(rows), base
        )
    draft = Draft(request.POST, is_new=not slug)
    if draft.is_valid:
        try:
            saved = services.version_save(
                slug=slug or draft.form.cleaned_data["slug"],
                figures=draft.figures(),
                script=draft.form.cleaned_data["script"],
                made_from=made_from,
                why=draft.form.cleaned_data["why"],
                person=request.user,
            )
        except LibraryError as error:
            draft.form.add_error(error.field if error.field in draft.form.fields else None, str(error))
        else:
            messages.success(request, _("Version %(number)d is there. Nobody is offered it yet.") % _numbered(saved))
            return redirect("library:edition", saved.slug, saved.version)
    return _page(request, draft.form, draft.fields, base, status=422, looked=_looked(draft, PreviewForm(request.POST)))


def _looked(draft: Draft, preview: PreviewForm) -> dict[str, Any]:
    """What is wrong with what is filled in, so far as it can be read."""
    # Why a version is made is said at the end.
    unread = {name for name in draft.form.errors if name not in ("why", "slug")}
    rows = [form for form in draft.fields.forms if form.errors]
    if unread or rows or draft.fields.non_form_errors():
        labels = [str(draft.form.fields[name].label) for name in draft.form.fields if name in unread]
        return {"unread": [*labels, *(form.shown_name or "?" for form in rows)]}
    return checked(draft.edition(PROVISIONAL), preview)


def _begun(request: PersonRequest) -> tuple[PresetForm, FieldSet]:
    like, version = request.GET.get("like", ""), request.GET.get("version", "")
    if like:
        kept = preset_kept(request.user, like)
        number = int(version) if version.isascii() and version.isdecimal() and len(version) < 7 else kept.editions[0]
        return _of(edition_get(kept, number), is_new=True)
    initial = preset_initial(BEGINNING_FIGURES, BEGINNING)
    rows = [field_initial(common_fields()[name]) for name in BEGINNING_FIELDS]
    return PresetForm(initial=initial, is_new=True), _rows(rows)


def _of(base: Edition, *, is_new: bool = False) -> tuple[PresetForm, FieldSet]:
    try:
        figures = figures_parse(base.definition)
    except PresetInvalid as error:
        raise Http404 from error
    form = PresetForm(initial=preset_initial(figures, base.script), is_new=is_new)
    return form, _rows([field_initial(entry) for entry in figures.get("fields", [])])


def _rows(rows: list[dict[str, Any]]) -> FieldSet:
    return FieldForms(initial=rows, prefix=PREFIX)


def _many(request: PersonRequest) -> dict[str, Any]:
    return {"environments": request.POST.getlist("environments")}


def _numbered(saved: Any) -> dict[str, int]:
    return {"number": saved.version}


def _page(
    request: PersonRequest,
    form: PresetForm,
    fields: FieldSet,
    base: Edition | None = None,
    *,
    status: int = 200,
    looked: dict[str, Any] | None = None,
) -> HttpResponse:
    taken = {row.shown_name for row in fields.forms}
    context = {
        "form": form,
        "fields": fields,
        "base": base,
        "preview": PreviewForm(request.POST if request.method == "POST" else None),
        "common": [name for name in common_fields() if name not in taken],
    }
    return render(request, "library/edit.html", context | (looked or {}), status=status)
