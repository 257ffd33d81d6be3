from typing import Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from portal.audit.selectors import Filters, tracked_models

LABELS = [("", _("Any")), ("created", _("Created")), ("changed", _("Changed")), ("deleted", _("Deleted"))]


DAY = ["%Y-%m-%d"]  # what a date input speaks, in every language


def _day() -> forms.DateInput:
    return forms.DateInput(attrs={"type": "date"}, format=DAY[0])


class FilterForm(forms.Form):
    model = forms.ChoiceField(label=pgettext_lazy("kind of record", "What"), required=False)
    number = forms.CharField(label=_("Number"), max_length=40, required=False)
    label = forms.ChoiceField(label=_("Action"), choices=LABELS, required=False)
    actor = forms.IntegerField(label=_("Person's number"), min_value=1, required=False)
    since = forms.DateField(label=_("From day"), required=False, widget=_day(), input_formats=DAY)
    until = forms.DateField(label=_("To day"), required=False, widget=_day(), input_formats=DAY)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        tracked = [(label, str(table.followed._meta.verbose_name)) for label, table in tracked_models().items()]
        what = cast(forms.ChoiceField, self.fields["model"])
        what.choices = [("", _("Everything")), *sorted(tracked, key=lambda choice: choice[1])]

    def filters(self, before: str) -> Filters:
        """What was asked for; a field with a mistake filters nothing, and its message stands beside it."""
        data = self.cleaned_data if self.is_valid() else getattr(self, "cleaned_data", {})
        return Filters(
            model=data.get("model", ""),
            object_id=data.get("number", ""),
            actor_id=data.get("actor"),
            label=data.get("label", ""),
            since=data.get("since"),
            until=data.get("until"),
            before=before,
        )
