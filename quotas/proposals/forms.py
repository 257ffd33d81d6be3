from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from portal.people.models import Organisation, User
from quotas.proposals.kinds import all_kinds


class SendBackForm(forms.Form):
    reason = forms.CharField(
        label=_("Reason"),
        max_length=4_000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("The proposer gets it by mail."),
    )


class FilterForm(forms.Form):
    """A kind that nobody registered filters nothing."""

    kind = forms.ChoiceField(label=_("Kind of proposal"), required=False)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        kinds = sorted(((kind.name, str(kind.label)) for kind in all_kinds()), key=lambda choice: choice[1])
        self.fields["kind"] = forms.ChoiceField(
            label=_("Kind of proposal"),
            required=False,
            choices=[("", _("All kinds")), *kinds],
            widget=forms.Select(attrs={"data-submit": ""}),
        )

    @property
    def chosen(self) -> str:
        return self.cleaned_data["kind"] if self.is_valid() else ""


class ConflictForm(forms.Form):
    """An interest in an organisation: of the person who declares it, or, for who decides at the centre, of another."""

    email = forms.EmailField(
        label=_("Whose, by e-mail address"), max_length=254, required=False, help_text=_("Empty: your own interest.")
    )
    organisation = forms.ModelChoiceField(
        Organisation.objects.order_by("name"), label=_("Organisation"), empty_label=_("Choose an organisation")
    )
    reason = forms.CharField(
        label=_("Reason"), max_length=400, help_text=_("For instance: co-author, close relative, former employee.")
    )

    def __init__(self, *args: Any, names_others: bool, person: User, **options: Any) -> None:
        super().__init__(*args, **options)
        self.person = person
        if not names_others:
            del self.fields["email"]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        data["person"] = self.person
        if email := data.pop("email", ""):
            data["person"] = User.objects.filter(email__iexact=email.strip(), is_active=True).first()
            if data["person"] is None:
                self.add_error("email", _("Nobody has this e-mail address."))
        return data
