"""A request's JSON as the job form that it fills in. The form says what is wrong with it, in its own words: here is
only what JSON can hold and a form cannot."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext as _

from portal.api.endpoint import ApiRequest
from portal.api.errors import Error, Way
from scheduler.jobs.chaining import PLAIN
from scheduler.jobs.form.beginnings import initial_of
from scheduler.jobs.form.chaining_form import ChainingForm
from scheduler.jobs.form.data_sets_form import DataSetsForm
from scheduler.jobs.form.drafts import draft_of
from scheduler.jobs.form.forms import FIELD_OF, JobForm
from scheduler.jobs.library.selectors import preset_find
from scheduler.jobs.preflight import Problem
from scheduler.jobs.services import Draft

# Of the form as a page, not of the job.
NOT_OURS = frozenset(["key", "line_end", "mode", "save_as"])


class Filling:
    """The forms of a job, filled in and read. `errors()`: whatever stands in the way of submitting it."""

    def __init__(self, request: ApiRequest) -> None:
        sent = {name: value for name, value in request.data.items() if value is not None}
        ours = {name: value for name, value in sent.items() if name not in NOT_OURS}
        data = _typed(_begun(sent) | ours | {"key": str(uuid4())})
        self.form = JobForm(data, person=request.user)
        self.ties = ChainingForm(data, person=request.user, preset=self.form.chosen)
        self.sets = DataSetsForm(data, person=request.user, values=data)
        self._all: tuple[forms.Form, ...] = (self.form, self.ties, self.sets)
        self._wrong = list(_wrong(sent, {name: one for form in self._all for name, one in form.fields.items()}))
        for form in self._all:
            form.is_valid()
        chosen = self.form.cleaned_data.get("allocation")
        if chosen is not None and not request.auth.covers(chosen.project_id):
            # As if it were none of the person's: to this token, nothing else exists.
            self.form.add_error("allocation", _("Choose an allocation of one of your projects."))

    @property
    def is_valid(self) -> bool:
        return not self._wrong and not any(form.errors for form in self._all)

    def draft(self) -> Draft | None:
        return draft_of(self.form, self.ties.chaining() if not self.ties.errors else PLAIN, self.sets.numbers())

    def submission(self) -> dict[str, Any]:
        """Arguments for `job_submit`. Only of a valid one."""
        return self.form.submission() | {
            "chaining": self.ties.chaining(),
            "data_sets": self.sets.numbers(),
            "form_key": None,
        }

    def errors(self, draft: Draft | None) -> list[Error]:
        """Each once: what a form could not read, the preflight does not judge."""
        said = [*self._wrong, *(error for form in self._all for error in _of_form(form))]
        fields = {error.field for error in said}
        return said + [error for error in map(of_problem, draft.problems if draft else ()) if error.field not in fields]


def of_problem(problem: Problem) -> Error:
    fixes = tuple(Way(fix.field, fix.value, str(fix.label)) for fix in problem.fixes)
    return Error(problem.code, str(problem), FIELD_OF.get(problem.field, problem.field), fixes)


def _begun(sent: dict[str, Any]) -> dict[str, Any]:
    """How the form begins with this preset: its shape, time limit and name need not be sent."""
    preset = sent.get("preset")
    if not isinstance(preset, str) or preset_find(preset) is None:
        return {}
    begun = initial_of(preset=preset, allocation="")
    return {name: value for name, value in begun.items() if name != "allocation"}


def _typed(data: dict[str, Any]) -> QueryDict:
    """As a browser sends a form: texts. What is neither text nor number is left out here, and said by `_wrong`."""
    typed = QueryDict(mutable=True)
    for name, value in data.items():
        values = value if isinstance(value, list) else [value]
        if values and all(map(_is_plain, values)):
            typed.setlist(name, list(map(str, values)))
    return typed


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _wrong(sent: dict[str, Any], fields: dict[str, forms.Field]) -> Iterator[Error]:
    for name, value in sent.items():
        if name not in fields or name in NOT_OURS:
            yield Error("unknown_field", _("There is no such field here."), name[:100])
        elif isinstance(fields[name], forms.MultipleChoiceField):
            if not (isinstance(value, list) and all(map(_is_plain, value))):
                yield Error("type", _("This must be a list."), name)
        elif not _is_plain(value):
            yield Error("type", _("This must be a text or a whole number."), name)


def _of_form(form: forms.Form) -> Iterator[Error]:
    for field, errors in form.errors.as_data().items():
        for error in errors:
            for message in error.messages:
                yield Error(error.code or "invalid", str(message), None if field == "__all__" else field)
