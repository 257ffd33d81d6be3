from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from scheduler.clusters.models import Cluster

WORDS = ("title", "about", "overshoot_s", "removals_cap")


class WordsForm(forms.Form):
    """What of a cluster can be changed."""

    title = forms.CharField(label=_("Name for people"), max_length=120)
    about = forms.CharField(
        label=_("Description"),
        max_length=400,
        required=False,
        help_text=_("Where it stands, what it is for: people read it where they choose a cluster."),
    )
    overshoot_s = forms.IntegerField(
        label=_("Seconds past a job's limit"),
        min_value=0,
        max_value=3_600,
        initial=60,
        help_text=_("How long Slurm may let a job run past its limit: polling and KillWait. Every hold includes it."),
    )
    removals_cap = forms.IntegerField(
        label=_("Removals in one cycle, at most"),
        min_value=0,
        max_value=10_000,
        initial=20,
        help_text=_("More at once are withheld until an operator has looked at them."),
    )

    def __init__(self, *args: Any, cluster: Cluster | None = None, **options: Any) -> None:
        if cluster is not None:
            options.setdefault("initial", {name: getattr(cluster, name) for name in WORDS})
        super().__init__(*args, **options)


class NewForm(WordsForm):
    name = forms.RegexField(
        r"^[a-z][a-z0-9_-]{0,39}$", label=_("Name in Slurm"), help_text=_("ClusterName in its slurm.conf.")
    )
    account_prefix = forms.RegexField(
        r"^[a-z][a-z0-9]{0,9}-$",
        label=_("Beginning of accounts' names"),
        initial="sl-",
        help_text=_("Only accounts that begin so are the portal's; it touches no other. Letters, digits, then a “-”."),
    )
    field_order = ("name", "title", "about", "account_prefix", "overshoot_s", "removals_cap")


class RetireForm(forms.Form):
    reason = forms.CharField(label=_("Reason"), max_length=400, help_text=_("People with balance there read it."))
