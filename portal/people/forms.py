from typing import Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from portal.people.models import Membership, Organisation, ProjectMembership, User
from portal.people.selectors import organisation_people


class MemberForm(forms.Form):
    """Adds a person to an organisation by e-mail address; a person new to the portal needs a name too."""

    email = forms.EmailField(label=_("E-mail address"), max_length=254)
    full_name = forms.CharField(
        label=_("Full name"), max_length=120, required=False, help_text=_("Only for a person who is new to the portal.")
    )
    role = forms.ChoiceField(label=_("Role"), choices=Membership.Role.choices, initial=Membership.Role.MEMBER)


class RoleForm(forms.Form):
    """Which role of which person to take away."""

    user = forms.ModelChoiceField(User.objects.all())
    role = forms.ChoiceField(choices=Membership.Role.choices)


class ProjectMemberForm(forms.Form):
    user = forms.ModelChoiceField(User.objects.none(), label=_("Person"), empty_label=_("Choose a person"))
    role = forms.ChoiceField(
        label=_("Role"), choices=ProjectMembership.Role.choices, initial=ProjectMembership.Role.RESEARCHER
    )

    def __init__(self, *args: Any, organisation: Organisation, **options: Any) -> None:
        super().__init__(*args, **options)
        person = cast(forms.ModelChoiceField, self.fields["user"])
        person.queryset = organisation_people(organisation)


class ProjectRoleForm(forms.Form):
    user = forms.ModelChoiceField(User.objects.all())
    role = forms.ChoiceField(choices=ProjectMembership.Role.choices)


class UnixAccountForm(forms.Form):
    unix_account = forms.CharField(
        label=_("Unix account"),
        max_length=32,
        required=False,
        help_text=_("The account on the cluster that this person's jobs run as. Empty takes it away."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "class": "code"}),
    )
