"""A copy of a preset for a project: it stands on one version of it, whatever operators offer later, until they withdraw
the preset altogether."""

from dataclasses import replace

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from portal.people.models import Project
from portal.people.selectors import projects_of
from portal.web.requests import PersonRequest
from scheduler.jobs.errors import JobRefused
from scheduler.jobs.form.project_presets import project_preset_save
from scheduler.jobs.library.selectors import editions_offered
from scheduler.jobs.models import ProjectPreset
from scheduler.jobs.presets.definition import Preset
from scheduler.jobs.presets.render import Filled
from scheduler.jobs.presets.stored import filled_stored


class CopyForm(forms.Form):
    project = forms.ModelChoiceField(label=_("Project"), queryset=Project.objects.none(), empty_label=None)
    edition = forms.TypedChoiceField(label=_("Version"), coerce=int)
    title = forms.CharField(label=_("Name"), max_length=60, widget=forms.TextInput(attrs={"autocomplete": "off"}))


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def preset_copy(request: PersonRequest, slug: str) -> HttpResponse:
    """For members of a project, of every version that is or was offered."""
    mine = projects_of(request.user).order_by("title")
    found = editions_offered(slug) if mine.exists() else []
    if not found:
        raise Http404
    form = CopyForm(request.POST if request.method == "POST" else None, initial={"title": found[0].title[:60]})
    form.fields["project"].queryset = mine  # type: ignore[attr-defined]
    form.fields["edition"].choices = [(one.edition, _label(one, found[0])) for one in found]  # type: ignore[attr-defined]
    if form.is_valid():
        data = form.cleaned_data
        chosen = next(one for one in found if one.edition == data["edition"])
        try:
            kept = _copy(request, data["project"], data["title"], replace(chosen, is_pinned=True))
        except JobRefused as refused:
            form.add_error("title", str(refused.problems[0]))
        else:
            messages.success(
                request, gettext("“%(title)s” is there for everybody in the project.") % {"title": kept.title}
            )
            return redirect(f"{reverse('jobs:new')}?saved={kept.pk}")
    context = {"form": form, "preset": found[0]}
    return render(request, "jobs/preset_copy.html", context, status=422 if form.errors else 200)


def _copy(request: PersonRequest, project: Project, title: str, preset: Preset) -> ProjectPreset:
    return project_preset_save(
        person=request.user,
        project=project,
        title=title,
        preset=preset.key,
        filled=filled_stored(Filled(preset, {one.name: one.default for one in preset.fields}), ""),
        script=preset.start,
        nodes=preset.nodes,
        gpus_per_node=preset.gpus_per_node,
        time_limit_s=preset.time_limit_s,
    )


def _label(preset: Preset, offered: Preset) -> str:
    said = {"n": preset.edition}
    if preset is offered:
        return gettext("Version %(n)d, which is offered now") % said
    return (gettext("Version %(n)d") if preset.edition else gettext("Version %(n)d, of the product")) % said
