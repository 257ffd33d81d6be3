from typing import Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from portal.api.models import Token
from portal.people.models import Project, User
from portal.people.selectors import projects_of

LIVES = ((7, _("a week")), (30, _("30 days")), (90, _("90 days")), (365, _("a year")))


class TokenForm(forms.Form):
    """What a new token may do, and for how long."""

    name = forms.CharField(
        label=_("Name"),
        max_length=60,
        help_text=_("What uses it and where, such as “notebook on my laptop”."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    scopes = forms.MultipleChoiceField(
        label=_("What it may do"),
        choices=Token.Scope.choices,
        initial=[Token.Scope.READ],
        widget=forms.CheckboxSelectMultiple,
    )
    days = forms.TypedChoiceField(label=_("It lives for"), choices=LIVES, initial=30, coerce=int)
    project = forms.ModelChoiceField(
        Project.objects.none(),
        label=_("Only for one project"),
        required=False,
        empty_label=_("All that I may see"),
    )

    def __init__(self, *args: Any, person: User, **options: Any) -> None:
        super().__init__(*args, **options)
        cast(forms.ModelChoiceField, self.fields["project"]).queryset = projects_of(person)
