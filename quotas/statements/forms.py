from django import forms
from django.utils.translation import gettext_lazy as _


class CorrectionForm(forms.Form):
    """Why a statement is issued anew."""

    reason = forms.CharField(
        label=_("Reason of the correction"),
        max_length=400,
        help_text=_("It stands on the new statement."),
        widget=forms.TextInput(),
    )
