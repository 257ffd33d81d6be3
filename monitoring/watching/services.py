"""Findings are opened, followed, told, acknowledged, closed. One process at a time (`tasks.watch`).

Each finding is its own transaction, its mails with it: who dies in between comes again and tells nobody twice.
"""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from monitoring.rollups.prometheus import Prometheus
from monitoring.watching import mails
from monitoring.watching.core import Next, Standing, Verdict, follow
from monitoring.watching.evidence import Sight, sights, window_of
from monitoring.watching.models import CancelRule, Finding
from portal.audit.context import acting
from portal.clock import now
from portal.people.models import User
from quotas.programmes.models import Programme
from scheduler.clusters.models import Cluster
from scheduler.jobs.errors import JobEnded
from scheduler.jobs.services import job_cancel
from scheduler.jobs.states import portal_reason

logger = logging.getLogger(__name__)
ACTOR = "worker:watching"
State = Finding.State


def watch(prometheus: Prometheus | None) -> int:
    """Looks once at everything. Answers how many findings are open afterwards."""
    moment = now()
    seen = {sight.key: sight for sight in sights(prometheus, moment)}
    standing = {
        (finding.kind, finding.cluster_id, finding.subject): finding
        for finding in Finding.objects.exclude(state=State.CLOSED).select_related("job")
    }
    for key, finding in standing.items():
        sight = seen.get(key)
        finding_follow(finding=finding, sight=sight, verdict=_verdict(finding, sight), moment=moment)
    for key, sight in seen.items():
        if key not in standing and sight.verdict == Verdict.YES:
            finding_open(sight=sight, moment=moment)
    for finding in Finding.objects.exclude(state=State.CLOSED).select_related("job__allocation__voucher", "cluster"):
        finding_step(finding=finding, moment=moment)
    return len(Finding.objects.exclude(state=State.CLOSED))


def _verdict(finding: Finding, sight: Sight | None) -> Verdict:
    """A job that has ended leaves no GPU idle any more. What the rollup flagged is there as long as the flag is."""
    if finding.kind == Finding.Kind.ABOVE:
        return Verdict.YES if sight else Verdict.NO
    if finding.job is not None and not finding.job.is_open:
        return Verdict.GONE
    return sight.verdict if sight else Verdict.UNKNOWN


def finding_open(*, sight: Sight, moment: datetime) -> Finding:
    with transaction.atomic(), acting(ACTOR, "finding_open"):
        return Finding.objects.create(
            kind=sight.kind,
            cluster_id=sight.cluster,
            subject=sight.subject,
            job_id=sight.job,
            node=sight.node,
            evidence=sight.evidence,
            opened_at=moment,
            seen_at=moment,
        )


def finding_follow(*, finding: Finding, sight: Sight | None, verdict: Verdict, moment: datetime) -> None:
    before = Standing(finding.seen_at, finding.clear_since)
    becomes = follow(before, verdict, moment, window_of(finding.kind))
    with transaction.atomic(), acting(ACTOR, "finding_follow"):
        _write(finding, becomes, sight.evidence if sight and verdict == Verdict.YES else None, moment)


def _write(finding: Finding, becomes: Next, evidence: Mapping[str, object] | None, moment: datetime) -> None:
    still = Finding.objects.filter(pk=finding.pk).exclude(state=State.CLOSED)
    if becomes.closes or becomes.standing is None:
        still.update(state=State.CLOSED, closed_at=moment)
        return
    changes: dict[str, object] = {"seen_at": becomes.standing.seen_at, "clear_since": becomes.standing.clear_since}
    if evidence is not None:
        changes["evidence"] = evidence
    still.update(**changes)


# --- steps ----------------------------------------------------------------------------------------------------------


def finding_step(*, finding: Finding, moment: datetime) -> None:
    """Tells whoever is next to be told, and at the end cancels where a rule says so. Nothing where it has just not been
    so, or where an operator sees to it."""
    if finding.clear_since is not None or finding.state == State.ACKNOWLEDGED:
        return
    step = next_step(finding, moment)
    if not step:
        return
    with transaction.atomic(), acting(ACTOR, "finding_step"):
        same = Finding.objects.filter(pk=finding.pk, warned=finding.warned, state__in=[State.OPENED, State.NOTIFIED])
        if not same.update(warned=step, warned_at=moment, state=State.NOTIFIED):
            return  # an operator acknowledged it meanwhile
        finding.warned, finding.warned_at = step, moment
        if step == Finding.CANCELLED:
            _cancel(finding)
        mails.tell(finding, cancels=is_cancelled_by_rule(finding))


def next_step(finding: Finding, moment: datetime) -> int:
    """0: none is due. Whoever is told has a while to see to it before the next step."""
    if not finding.warned:
        return Finding.PERSON
    if finding.kind != Finding.Kind.IDLE or finding.warned_at is None or finding.warned >= Finding.CANCELLED:
        return 0
    waited = moment - finding.warned_at >= timedelta(seconds=settings.WATCH_STEP_S)
    if not waited or (finding.warned == Finding.PROJECT and not is_cancelled_by_rule(finding)):
        return 0
    return finding.warned + 1


def is_cancelled_by_rule(finding: Finding) -> bool:
    """Of a programme, or else of its cluster; without a rule: no. Nor is a job of which a GPU works, and no array: what
    its other tasks do would end with it."""
    job = finding.job
    if job is None or finding.kind != Finding.Kind.IDLE or not finding.evidence.get("all") or job.is_array:
        return False
    rules = {
        "programme": CancelRule.objects.filter(programme=job.allocation.voucher.programme_id).first(),
        "cluster": CancelRule.objects.filter(cluster=job.cluster_id).first(),
    }
    rule = rules["programme"] or rules["cluster"]
    return rule is not None and rule.cancels


def _cancel(finding: Finding) -> None:
    """By the one way that any cancellation goes, with its reason on the job."""
    assert finding.job_id is not None
    minutes = round((finding.seen_at - finding.opened_at).total_seconds() / 60)
    minutes += round(float(finding.evidence.get("window_s", 0)) / 60)
    try:
        job_cancel(job_id=finding.job_id, person=None, reason=portal_reason("idle_gpus", minutes=minutes))
    except JobEnded:
        logger.info("finding %s: its job has just ended", finding.pk)


# --- people ---------------------------------------------------------------------------------------------------------


def finding_acknowledge(*, finding_id: int, person: User) -> bool:
    """An operator sees to it: no further mail, no cancellation. It closes by itself when it is gone. Answers whether it
    was open and nobody's."""
    with transaction.atomic(), acting(person, "finding_acknowledge"):
        open_ = Finding.objects.filter(pk=finding_id, state__in=[State.OPENED, State.NOTIFIED])
        changed = open_.update(state=State.ACKNOWLEDGED, acknowledged_at=now(), acknowledged_by=person)
    return bool(changed)


def cancel_rule_set(
    *, cluster: Cluster | None = None, programme: Programme | None = None, cancels: bool | None, person: User
) -> None:
    """Of one of the two. None: no rule of its own; a programme then has its cluster's, a cluster cancels nothing."""
    of: dict[str, Any] = {"cluster": cluster} if cluster else {"programme": programme}
    with transaction.atomic(), acting(person, "cancel_rule_set"):
        if cancels is None:
            CancelRule.objects.filter(**of).delete()
            return
        CancelRule.objects.update_or_create(**of, defaults={"cancels": cancels, "set_by": person, "set_at": now()})
