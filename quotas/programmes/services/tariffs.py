"""Tariffs: proposed by one person, approved by another, from tomorrow on at the earliest, and never changed.

Only the first tariff of a GPU type may begin today: the tariff of a day that has begun is the one that awards of that
day were made at.
"""

import re
from datetime import date

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from portal.clock import centre_date, now
from portal.people.models import User
from quotas.errors import constraint_of
from quotas.programmes.errors import Invalid
from quotas.programmes.models import Tariff
from quotas.programmes.selectors import tariffs_on
from quotas.programmes.services.budgets import GPU_TYPE_FORM
from quotas.proposals.models import Proposal
from quotas.proposals.services import proposal_make

VND_PER_GPU_HOUR_MOST = 10**9
CONSTRAINTS = ("tariff_not_in_the_past", "tariff_day_has_begun", "tariff_once_a_day")


def tariff_propose(
    *, gpu_type: str, vnd_per_gpu_hour: int, valid_from: date, reason: str, person: User, cluster: str = ""
) -> Proposal:
    """Asks another person for a tariff from a day of the centre on, of all clusters or of one.

    Raises Invalid; NotAllowed, Invalid of proposals.
    """
    if not re.fullmatch(GPU_TYPE_FORM, gpu_type):
        raise Invalid(_("Write the GPU type in lower-case letters and digits, as Slurm does."), field="gpu_type")
    if not 1 <= vnd_per_gpu_hour <= VND_PER_GPU_HOUR_MOST:
        raise Invalid(_("Use a whole number of VND from 1 to 1,000,000,000."), field="vnd_per_gpu_hour")
    if valid_from.year > 9998:
        raise Invalid(_("This day is too far away."), field="valid_from")
    if cluster and cluster not in settings.CLUSTERS:
        raise Invalid(_("The portal has no such cluster."), field="cluster")
    _check_day(gpu_type, valid_from, cluster)
    before = tariffs_on(valid_from, cluster).get(gpu_type)
    return proposal_make(
        kind="tariff",
        facts={
            "gpu_type": gpu_type,
            "cluster": cluster,
            "vnd_per_gpu_hour": vnd_per_gpu_hour,
            "valid_from": valid_from.isoformat(),
            "before_vnd_per_gpu_hour": before.vnd_per_gpu_hour if before else None,
        },
        reason=reason,
        person=person,
    )


def _check_day(gpu_type: str, valid_from: date, cluster: str) -> None:
    today = centre_date(now())
    if valid_from < today:
        raise Invalid(_("A tariff cannot begin in the past."), field="valid_from")
    if valid_from == today and gpu_type in tariffs_on(today, cluster):
        raise Invalid(_("Today has a tariff already: a new one begins tomorrow at the earliest."), field="valid_from")
    if Tariff.objects.filter(gpu_type=gpu_type, cluster=cluster, valid_from=valid_from).exists():
        raise Invalid(_("A tariff that begins on this day was decided already."), field="valid_from")


def tariff_carry_out(proposal: Proposal) -> None:
    """Makes the tariff that a proposal says. Raises Invalid where its day has begun meanwhile."""
    facts = proposal.facts
    valid_from = date.fromisoformat(facts["valid_from"])
    cluster = facts.get("cluster", "")  # proposed before tariffs could be a cluster's
    _check_day(facts["gpu_type"], valid_from, cluster)
    try:
        with transaction.atomic():
            Tariff.objects.create(
                gpu_type=facts["gpu_type"],
                cluster=cluster,
                vnd_per_gpu_hour=facts["vnd_per_gpu_hour"],
                valid_from=valid_from,
                decided_on=centre_date(now()),
                proposal=proposal,
            )
    except IntegrityError as error:  # another one was decided at the same moment
        if constraint_of(error) in CONSTRAINTS:
            raise Invalid(_("A tariff that begins on this day was decided already."), field="valid_from") from error
        raise
