"""The form's fields that say where a job runs: partition (with it a slice, or no GPU at all), CPUs, reservation."""

from collections.abc import Sequence
from typing import Any, cast

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.people.models import User
from quotas.allocations.models import Allocation
from scheduler.jobs.places import partitions_offered, windows_offered

CPUS_MOST = 1_000_000  # what there is, the preflight says; this only keeps absurd numbers out of its sentences


class PlaceFields(forms.Form):
    partition = forms.CharField(
        required=False,
        max_length=64,
        label=_("Partition"),
        help_text=_("The portal chooses whole GPUs. Slices of a GPU and data preparation are chosen here."),
        widget=forms.Select,
    )
    cpus_per_node = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=CPUS_MOST,
        label=_("CPUs"),
        help_text=_("Only where there are no GPUs; beside GPUs Slurm gives each its share."),
        widget=forms.NumberInput(attrs={"min": 1}),
    )
    reservation = forms.CharField(
        required=False,
        max_length=120,
        label=_("Reservation"),
        help_text=_("GPUs that an operator set aside for you. What the job uses of them is charged as everywhere."),
        widget=forms.Select,
    )

    has_reservations = False  # whether the page shows the field at all
    has_slices = False  # whether there is a choice that the simple form must show
    has_cpus = False

    def offer_places(self, person: User, allocations: Sequence[Allocation]) -> None:
        partitions = partitions_offered(allocations)
        windows = windows_offered(person, allocations)
        self.has_cpus = any(not one.gpus_per_node for one in partitions)
        self.has_slices = any(one.share for one in partitions)
        asked = self["reservation"].value()
        self.has_reservations = bool(windows or asked)
        cast(forms.Select, self.fields["partition"].widget).choices = [
            ("", gettext("The portal chooses")),
            *((one.name, str(one)) for one in partitions),
        ]
        cast(forms.Select, self.fields["reservation"].widget).choices = [("", gettext("None")), *windows]

    def place(self) -> dict[str, Any]:
        """Arguments for `job_draft` and `job_submit`, as far as they could be read."""
        data = self.cleaned_data
        return {
            "partition": data.get("partition", ""),
            "cpus_per_node": data.get("cpus_per_node") or 0,
            "reservation": data.get("reservation", ""),
        }
