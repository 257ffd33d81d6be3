import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import cast

from portal.clock import now
from quotas.allocations.errors import WrongState
from quotas.allocations.services import withdrawal_confirm
from scheduler.accounts.models import LimitReading, OwnedName
from scheduler.accounts.plan import ROOT, Action, Kind, Plan, QosState, Verb
from scheduler.accounts.services.planning import plan_make
from scheduler.accounts.services.tree import TreeLook, cuts_tree, tree_look
from scheduler.clusters import faults
from scheduler.clusters.adapters import ClusterAdapter, adapter_for
from scheduler.clusters.adapters.limits import QosFields, QosUsage
from scheduler.clusters.adapters.protocol import AssociationBusy, ClusterError, ClusterUnreachable
from scheduler.clusters.models import Cluster

logger = logging.getLogger(__name__)
READ_BACK_S = 3.0  # slurmdbd tells slurmctld of a change within milliseconds; what takes longer is the next cycle's
READ_BACK_EVERY_S = 0.1
MEMBERS_A_CALL = 100
UNLIMITED = -1  # sacctmgr's word for no limit


@dataclass
class Applied:
    """What an application did, and what is left by the reading after it."""

    left: Plan
    done: list[Action] = field(default_factory=list)
    busy: list[Action] = field(default_factory=list)  # removals that wait for running jobs; their access has ended
    errors: list[str] = field(default_factory=list)  # what Slurm refused, in its words; the rest went on
    removals_withheld: int = 0  # more than the cap: none of them was done
    tree: TreeLook = field(default_factory=TreeLook)  # with faults nothing was removed or moved
    withdrawals_confirmed: int = 0
    usage: Mapping[str, QosUsage] = field(default_factory=dict)  # the limits as slurmctld holds them, by QOS


def plan_apply(
    *,
    cluster: Cluster,
    plan: Plan,
    removals_cap: int,
    adapter: ClusterAdapter | None = None,
    budget_s: float = float("inf"),
) -> Applied:
    """Does what the plan says, in its order, removals last; then everything is read back.

    More removals than `removals_cap`: none is done, the rest is. While slurmdbd's tree of accounts has a fault nothing
    is removed or moved; who is to be removed loses the right to start anything (that touches no tree). One refused
    action does not stop the others. After `budget_s` seconds what is left waits for the next plan. Raises
    ClusterUnreachable where Slurm went away; what was done until then is found by the next plan.
    """
    slurm = adapter or adapter_for(cluster.name)
    applied = Applied(left=plan)
    if len(plan.removals) > removals_cap:
        applied.removals_withheld = len(plan.removals)
        logger.error("%s: %s removals are above the cap of %s", cluster.name, len(plan.removals), removals_cap)
    applied.tree = tree_look(cluster, plan, slurm)
    deadline = time.monotonic() + budget_s
    for batch in _batches(plan):
        if time.monotonic() > deadline:
            break  # the rest is found again by the next plan
        if batch[0].verb == Verb.REMOVE and applied.removals_withheld and not batch[0].is_blocked:
            continue
        if applied.tree.faults and cuts_tree(batch[0]):
            _block_safely(cluster, batch[0], slurm)
            continue
        _batch_apply(cluster, plan, batch, slurm, applied)
    if plan.withdrawals:
        faults.reach("limit_lowered")
    usage = applied.usage = _limits_read_back(plan, slurm)
    _readings_store(cluster, plan, usage)
    applied.withdrawals_confirmed = _withdrawals_confirm(cluster, plan, usage)
    if applied.done or applied.busy:
        applied.left = plan_make(cluster=cluster, adapter=slurm)
    return applied


# ---- actions, members of one place together


def _batches(plan: Plan) -> Iterator[list[Action]]:
    """Single actions, except new members who get the same: one sacctmgr call takes 0.4 s whatever it adds."""
    batch: list[Action] = []
    for action in plan.actions:
        if batch and (len(batch) >= MEMBERS_A_CALL or _place(plan, batch[0]) != _place(plan, action)):
            yield batch
            batch = []
        batch.append(action)
    if batch:
        yield batch


def _place(plan: Plan, action: Action) -> object:
    """The same for new members of one account and partition with the same QOS; for everything else its own."""
    if action.verb != Verb.ADD or action.kind != Kind.ASSOCIATION:
        return action.verb, action.kind, action.key
    account, user, partition = action.key
    return account, partition, plan.desired.associations[account, user, partition]


def _batch_apply(cluster: Cluster, plan: Plan, batch: list[Action], slurm: ClusterAdapter, applied: Applied) -> None:
    if len(batch) > 1:
        try:
            _members_add(plan, batch, slurm)
            applied.done += batch
            return
        except ClusterUnreachable:
            raise
        except ClusterError as error:
            logger.warning("%s: one by one, because together: %s", cluster.name, error)
    for action in batch:
        try:
            _apply(cluster, plan, action, slurm)
            applied.done.append(action)
        except AssociationBusy:
            applied.busy.append(action)
            _block(action, slurm)
        except ClusterUnreachable:
            raise
        except ClusterError as error:
            logger.error("%s: %s %s %s: %s", cluster.name, action.verb, action.kind, action.name, error)
            applied.errors.append(f"{action.kind} {action.name}: {error}")


def _members_add(plan: Plan, batch: list[Action], slurm: ClusterAdapter) -> None:
    account, user, partition = batch[0].key
    wanted = plan.desired.associations[account, user, partition]
    slurm.associations_create(
        account=account,
        users=[action.key[1] for action in batch],
        partition=partition,
        qos=wanted.qos,
        default_qos=wanted.default_qos,
    )


def _apply(cluster: Cluster, plan: Plan, action: Action, slurm: ClusterAdapter) -> None:
    if action.verb == Verb.ADD and action.kind != Kind.ASSOCIATION:
        OwnedName.objects.update_or_create(
            cluster=cluster,
            kind=action.kind,
            name=action.key[0],
            defaults={"removed_at": None},
            create_defaults={"created_at": now()},
        )
    match action.kind:
        case Kind.ACCOUNT:
            _account_apply(cluster, plan, action, slurm)
        case Kind.QOS:
            _qos_apply(plan, action, slurm)
        case Kind.ASSOCIATION:
            _association_apply(plan, action, slurm)


def _account_apply(cluster: Cluster, plan: Plan, action: Action, slurm: ClusterAdapter) -> None:
    (name,) = action.key
    if action.verb == Verb.REMOVE:
        slurm.account_remove(name=name)
        OwnedName.objects.filter(cluster=cluster, kind=Kind.ACCOUNT, name=name).update(removed_at=now())
        return
    parent = plan.desired.accounts[name].parent
    if action.verb == Verb.ADD:
        # slurmdbd keeps neither capitals nor letters outside its database's character set: names only.
        slurm.account_create(
            name=name, parent=parent, organisation=name if parent == ROOT else parent, description=name
        )
    else:
        slurm.account_move(name=name, parent=parent)


def _qos_apply(plan: Plan, action: Action, slurm: ClusterAdapter) -> None:
    (name,) = action.key
    wanted = plan.desired.qos[name]
    if action.verb == Verb.ADD:
        slurm.qos_create(name=name, description=name, **_qos_values(wanted, {}, set(_QOS_FIELDS)))
        return
    before = {change.field: change.before for change in action.changes}
    slurm.qos_modify(name=name, **_qos_values(wanted, before, set(before)))


_QOS_FIELDS = tuple(part.name for part in fields(QosState))


def _qos_values(wanted: QosState, before: Mapping[str, object], changed: set[str]) -> QosFields:
    return cast(QosFields, {name: _qos_value(getattr(wanted, name), before.get(name)) for name in changed})


def _qos_value(wanted: object, before: object) -> object:
    if isinstance(wanted, Mapping):
        return _with_cleared(wanted, before)
    return UNLIMITED if wanted is None else wanted


def _with_cleared(wanted: Mapping[str, int], before: object) -> dict[str, int]:
    """sacctmgr adds to a list of limits; what shall go is named and set to none."""
    known = before if isinstance(before, Mapping) else {}
    return {**{name: UNLIMITED for name in known if name not in wanted}, **wanted}


def _association_apply(plan: Plan, action: Action, slurm: ClusterAdapter) -> None:
    account, user, partition = action.key
    if action.verb == Verb.REMOVE:
        _waiting_jobs_cancel(action, slurm)
        slurm.association_remove(account=account, user=user, partition=partition)
        return
    wanted = plan.desired.associations[account, user, partition]
    fields = {change.field for change in action.changes}
    if action.verb == Verb.ADD:
        slurm.association_create(
            account=account, user=user, partition=partition, qos=wanted.qos, default_qos=wanted.default_qos
        )
        return
    if fields & {"qos", "default_qos"}:
        slurm.association_modify(
            account=account, user=user, partition=partition, qos=wanted.qos, default_qos=wanted.default_qos
        )
    if fields & {"max_jobs", "max_submit_jobs"}:
        slurm.association_unblock(account=account, user=user, partition=partition)


def _waiting_jobs_cancel(action: Action, slurm: ClusterAdapter) -> None:
    """They can never start, would keep Slurm from removing the association, and hold GPU-seconds of the project."""
    for job in slurm.queue():
        if job.state == "PENDING" and (job.account, job.user) == action.key[:2] and job.partition == action.key[2]:
            # Of an array only what waits: its started tasks go on.
            tasks = job.array_tasks.partition("%")[0]
            job_id = f"{job.array_job_id}_[{tasks}]" if tasks else str(job.job_id)
            slurm.job_cancel_as_admin(job_id=job_id, reason=f"{job.user} may no longer run jobs of {job.account} here")


def _block(action: Action, slurm: ClusterAdapter) -> None:
    """A removed person's jobs run to their end; nothing of theirs starts any more."""
    if action.kind == Kind.ASSOCIATION and not action.is_blocked:
        account, user, partition = action.key
        slurm.association_block(account=account, user=user, partition=partition)


def _block_safely(cluster: Cluster, action: Action, slurm: ClusterAdapter) -> None:
    try:
        if action.verb == Verb.REMOVE:
            _block(action, slurm)
    except ClusterUnreachable:
        raise
    except ClusterError as error:
        logger.error("%s: block %s: %s", cluster.name, action.name, error)


# ---- reading back


def _limits_read_back(plan: Plan, slurm: ClusterAdapter) -> Mapping[str, QosUsage]:
    """slurmctld's own view of the limits: it is what holds them, sacctmgr shows only what slurmdbd was told."""
    if not plan.limits:
        return {}
    deadline = time.monotonic() + READ_BACK_S
    while True:
        usage = slurm.qos_usage(plan.limits)
        agrees = all(name in usage and usage[name].limit_minutes == row.minutes for name, row in plan.limits.items())
        if agrees or time.monotonic() > deadline or not _waits_for_limits(plan):
            return usage
        time.sleep(READ_BACK_EVERY_S)


def _waits_for_limits(plan: Plan) -> bool:
    return bool(plan.withdrawals) or any(row.kind == Kind.QOS for row in plan.actions)


def _readings_store(cluster: Cluster, plan: Plan, usage: Mapping[str, QosUsage]) -> None:
    moment = now()
    LimitReading.objects.bulk_create(
        [
            LimitReading(
                cluster=cluster,
                qos=name,
                wanted_minutes=row.minutes,
                read_minutes=usage[name].limit_minutes if name in usage else None,
                usage_raw_gpu_seconds=row.usage_raw_gpu_seconds,
                expected_usage_gpu_seconds=row.expected_usage_gpu_seconds,
                counter_gap_gpu_seconds=row.counter_gap_gpu_seconds,
                read_at=moment,
            )
            for name, row in plan.limits.items()
        ],
        update_conflicts=True,
        unique_fields=["cluster", "qos"],
        update_fields=[
            *("wanted_minutes", "read_minutes", "usage_raw_gpu_seconds", "expected_usage_gpu_seconds"),
            *("counter_gap_gpu_seconds", "read_at"),
        ],
    )


def _is_held(minutes: int, usage: QosUsage | None) -> bool:
    return usage is not None and usage.limit_minutes is not None and usage.limit_minutes <= minutes


def _covers_what_runs(usage: QosUsage) -> bool:
    """Whether all that was used, and all that running jobs may still use, lies within the limit in force."""
    return usage.limit_minutes is not None and usage.used_minutes + usage.running_minutes <= usage.limit_minutes


def _withdrawals_confirm(cluster: Cluster, plan: Plan, usage: Mapping[str, QosUsage]) -> int:
    """Those whose lower limit slurmctld holds, and those of allocations that are not in Slurm at all."""
    confirmed = 0
    for row in plan.withdrawals:
        withdrawal_id, qos = row.withdrawal, row.qos
        if qos in plan.limits and not _is_held(plan.limits[qos].minutes, usage.get(qos)):
            continue
        if qos in plan.limits and row.goes_to_others and not _covers_what_runs(usage[qos]):
            # A job by plain sbatch was quicker than the lower limit. What it may use is not somebody else's yet.
            logger.warning("%s: withdrawal %s waits for jobs of %s", cluster.name, withdrawal_id, qos)
            continue
        faults.reach("limit_read_back")
        try:
            actor = f"worker:cluster.{cluster.name}"
            confirmed += withdrawal_confirm(withdrawal_id=withdrawal_id, event_at=now(), actor=actor)
            faults.reach("withdrawal_confirmed")
        except WrongState:  # cancelled since; the next plan raises the limit again
            logger.info("%s: withdrawal %s was cancelled meanwhile", cluster.name, withdrawal_id)
    return confirmed
