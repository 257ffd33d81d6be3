from django import forms
from django.utils.translation import gettext_lazy as _


class ReasonForm(forms.Form):
    """Why an operator changes an allocation's state."""

    reason = forms.CharField(
        label=_("Reason"), max_length=200, help_text=_("The people of the project see it."), widget=forms.TextInput()
    )
