from collections.abc import Mapping
from typing import Any, cast

from django import forms
from django.http import QueryDict
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext_lazy as _

from portal.people.models import User
from quotas.allocations.selectors import usable_allocations
from scheduler.datasets.models import DataSet
from scheduler.datasets.selectors import usable_on
from scheduler.jobs.choosing import group_chosen
from scheduler.jobs.data_sets import FIELD, MOST
from scheduler.jobs.errors import JobRefused
from scheduler.jobs.selectors import allocation_chosen

FIX = "data_set="  # one click: leave this one out


class DataSetsForm(forms.Form):
    """Which data sets of the catalogue a job reads. Beside `JobForm`, in the same HTML form; always bound.

    Offered are those that the chosen allocation's project may use on its cluster. What else was sent is the service's
    to refuse.
    """

    data_sets = forms.MultipleChoiceField(
        label=_("Data sets"), required=False, widget=forms.CheckboxSelectMultiple(attrs={"class": "form-check-input"})
    )

    def __init__(self, sent: QueryDict | None, *, person: User, values: Mapping[str, Any]) -> None:
        """`sent`: what a browser sent, None where a form begins; `values`: the job form's."""
        numbers = [str(one) for one in values.get(FIELD, ())] if sent is None else sent.getlist(FIELD)
        left_out = "" if sent is None else sent.get("fix", "")
        super().__init__(MultiValueDict({FIELD: [one for one in numbers if f"{FIX}{one}" != left_out]}))
        self.person, self.allocation = person, str(values.get("allocation") or "")
        self.fields[FIELD].validate = lambda value: None  # type: ignore[method-assign]

    def offer(self) -> None:
        """Fills the list; needed only where the form is shown."""
        chosen = self.allocation
        found = allocation_chosen(self.person, int(chosen)) if chosen.isdecimal() and len(chosen) < 19 else None
        rows = usable_on(found.project, found.cluster) if found else self._of_group()
        field = cast(forms.MultipleChoiceField, self.fields[FIELD])
        field.choices = [(str(row.pk), _label(row)) for row in rows]

    def _of_group(self) -> list[DataSet]:
        """Where the portal chooses the allocation: of every cluster that it may choose."""
        group = group_chosen(self.person, self.allocation)
        if group is None:
            return []
        clusters = sorted({row.allocation.cluster for row in usable_allocations(self.person, group.project)})
        return [row for cluster in clusters for row in usable_on(group.project, cluster)]

    @property
    def is_offered(self) -> bool:
        return bool(cast(forms.MultipleChoiceField, self.fields[FIELD]).choices)

    def clean_data_sets(self) -> list[int]:
        values = self.cleaned_data[FIELD]
        if len(values) > MOST:
            raise forms.ValidationError(_("A job takes at most %(most)d data sets."), params={"most": MOST})
        if not all(value.isascii() and value.isdecimal() and len(value) < 19 for value in values):
            raise forms.ValidationError(_("Choose data sets of the list."))
        return sorted({int(value) for value in values})

    def numbers(self) -> list[int]:
        """Those that were chosen, as far as they could be read."""
        self.is_valid()
        return list(self.cleaned_data.get(FIELD, ()))

    def refuse(self, refused: JobRefused) -> None:
        """Puts what a service refused beside the field; what belongs to others is left to them."""
        for problem in refused.problems:
            if problem.field == FIELD:
                self.add_error(FIELD, str(problem))


def _label(row: DataSet) -> str:
    return f"{row.name} · {row.version}"
