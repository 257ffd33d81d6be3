"""Plan → apply → read back, for the groups of a cluster's data sets. Only workers and commands call this.

The rules are those of the accounts plan: additions first; more removals than the cap, and nobody is removed; what one
group is refused does not stop the others; everything is read back.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from portal.audit.context import acting
from portal.clock import now
from portal.locks import LockSpace, held_if_free
from scheduler.clusters.adapters.protocol import ClusterError, ClusterUnreachable
from scheduler.clusters.models import Cluster
from scheduler.clusters.unix_groups import MOST_AT_ONCE, FolderInfo, GroupRefused, UnixGroups, unix_groups_for
from scheduler.datasets.desired import members_wanted
from scheduler.datasets.models import DataSet, Reading, StoredGroups
from scheduler.datasets.plan import Action, Members, Plan, by_hand, plan

logger = logging.getLogger(__name__)
LOCK_WAIT_S = 60.0
FOLDERS_EVERY = timedelta(minutes=10)
OUTSIDE_KEPT = 30
ERRORS_KEPT = 50

Actual = Mapping[str, Members | None]


class AnotherApplies(Exception):
    """Another process has been applying a plan to this cluster for a minute."""


@dataclass
class Applied:
    left: Plan
    notes: list[dict[str, str]] = field(default_factory=list)
    changes: int = 0  # people who were let in or taken out
    errors: list[str] = field(default_factory=list)
    removals_withheld: int = 0
    outside: list[Action] = field(default_factory=list)


def groups_cycle(cluster_name: str, *, groups: UnixGroups | None = None) -> Applied | None:
    """A cycle's part. None: there is no data set on the cluster, or another process is at it. Raises ClusterError."""
    cluster = Cluster.objects.get(name=cluster_name)
    if not DataSet.objects.filter(cluster=cluster).exists():
        return None
    with held_if_free(LockSpace.CLUSTER_PLAN, cluster.pk) as mine:
        if not mine:
            return None
        return _apply(cluster, cluster.removals_cap, groups, f"worker:cluster.{cluster.name}")


def groups_apply(*, cluster: Cluster, removals_cap: int, actor: str, groups: UnixGroups | None = None) -> Applied:
    """The same on demand, with a cap of its own. Raises AnotherApplies and ClusterError."""
    with held_if_free(LockSpace.CLUSTER_PLAN, cluster.pk, wait_s=LOCK_WAIT_S) as mine:
        if not mine:
            raise AnotherApplies(cluster.name)
        return _apply(cluster, removals_cap, groups, actor)


def _apply(cluster: Cluster, removals_cap: int, groups: UnixGroups | None, actor: str) -> Applied:
    host = groups or unix_groups_for(cluster.name)
    with acting(actor, "groups_apply"):
        wanted = members_wanted(cluster)
        actual = host.members(wanted)
        wanted, notes = _without_the_absent(wanted, actual, host)
        made = plan(wanted, actual)
        applied = Applied(left=made, notes=notes, outside=_changed_by_hand(cluster, actual, wanted))
        if made.removals > removals_cap:
            applied.removals_withheld = made.removals
            logger.error("%s: %s removals are above the cap of %s", cluster.name, made.removals, removals_cap)
        for action in made.actions:
            _action_apply(action, host, applied)
        if made.actions:
            actual = host.members(wanted)
            applied.left = plan(wanted, actual)
        _readings_store(cluster, actual, host, look=bool(made.actions))
        _store(cluster, applied)
    return applied


def _without_the_absent(
    wanted: Mapping[str, Members], actual: Actual, host: UnixGroups
) -> tuple[dict[str, Members], list[dict[str, str]]]:
    """Without people whose unix account is not there yet. Only who is new is looked up: a name service that fails for a
    moment takes nobody's access away."""
    known: dict[str, bool] = {}
    notes, found = [], {}
    for group, members in wanted.items():
        absent = set()
        for name in sorted(members - (actual.get(group) or frozenset())):
            if name not in known:
                known[name] = host.account_exists(name)
                if not known[name]:
                    notes.append({"code": "waits_for_unix_account", "name": name, "about": group})
            if not known[name]:
                absent.add(name)
        found[group] = members - absent
    return found, notes


def _action_apply(action: Action, host: UnixGroups, applied: Applied) -> None:
    remove = () if applied.removals_withheld else action.remove
    if not action.create and not action.add and not remove:
        return
    parts = [
        (action.add[begin : begin + MOST_AT_ONCE], remove[begin : begin + MOST_AT_ONCE])
        for begin in range(0, max(len(action.add), len(remove), 1), MOST_AT_ONCE)
    ]
    for add, take in parts:
        try:
            host.change(group=action.group, add=add, remove=take)
            applied.changes += len(add) + len(take)
        except ClusterUnreachable:
            raise
        except GroupRefused as error:
            if len(add) + len(take) < 2:
                applied.errors.append(f"{action.group}: {error}")
                continue
            _one_by_one(action.group, add, take, host, applied)


def _one_by_one(group: str, add: tuple[str, ...], take: tuple[str, ...], host: UnixGroups, applied: Applied) -> None:
    """One person whom the host refuses keeps nobody else out, nor in."""
    for name in (*take, *add):
        try:
            if name in take:
                host.change(group=group, remove=(name,))
            else:
                host.change(group=group, add=(name,))
            applied.changes += 1
        except ClusterUnreachable:
            raise
        except GroupRefused as error:
            applied.errors.append(f"{group}: {error}")
            if len(applied.errors) >= ERRORS_KEPT:
                return  # the host refuses everything: the next cycle tries again


def _changed_by_hand(cluster: Cluster, actual: Actual, wanted: Mapping[str, Members]) -> list[Action]:
    rows = Reading.objects.filter(data_set__cluster=cluster).values_list("data_set__unix_group", "members")
    return by_hand({group: frozenset(members) for group, members in rows}, actual, wanted)


def _readings_store(cluster: Cluster, actual: Actual, host: UnixGroups, *, look: bool) -> None:
    """Only rows that say something new are written."""
    rows = {row.data_set_id: row for row in Reading.objects.filter(data_set__cluster=cluster)}
    data_sets = list(DataSet.objects.filter(cluster=cluster))
    moment = now()
    due = [one for one in data_sets if look or one.pk not in rows or _is_due(rows[one.pk], moment - FOLDERS_EVERY)]
    folders: dict[str, FolderInfo] | None = None
    if due:
        try:
            folders = host.folders([one.path for one in due])
        except ClusterError as error:
            logger.warning("%s: the data sets' folders are not known: %s", cluster.name, error)
    for one in data_sets:
        members = actual.get(one.unix_group)
        if members is None:
            continue
        facts: dict[str, object] = {}
        row = rows.get(one.pk)
        if row is None or row.members != sorted(members):
            facts["members"] = sorted(members)
        if folders is not None and one in due:
            facts |= {"folder": folder_state(folders.get(one.path), one.unix_group), "folder_read_at": moment}
        if facts or row is None:
            Reading.objects.update_or_create(data_set=one, defaults=facts)


def _is_due(row: Reading, before: datetime) -> bool:
    return row.folder_read_at is None or row.folder_read_at < before


def folder_state(found: FolderInfo | None, group: str) -> str:
    """What stands between a folder and the promise that its group reads it and nobody else."""
    if found is None:
        return Reading.Folder.ABSENT
    if found.kind != "directory":
        return Reading.Folder.NO_FOLDER
    if found.group != group:
        return Reading.Folder.GROUP
    if found.mode & 0o022:
        return Reading.Folder.WRITABLE
    if found.mode & 0o050 != 0o050:
        return Reading.Folder.CLOSED
    return Reading.Folder.PUBLIC if found.mode & 0o007 else Reading.Folder.FINE


def _store(cluster: Cluster, applied: Applied) -> None:
    actions = [action.as_json() for action in applied.left.actions]
    moment = now()
    stored = StoredGroups.objects.filter(cluster=cluster).first()
    outside = [{"at": moment.isoformat(), **action.as_json()} for action in applied.outside]
    facts: dict[str, object] = {
        "made_at": moment,
        "actions": actions,
        "notes": applied.notes,
        "errors": applied.errors[:ERRORS_KEPT],
        "removals_withheld": applied.removals_withheld,
        "digest": hashlib.sha256(json.dumps(actions, sort_keys=True).encode()).hexdigest(),
        "outside": [*outside, *(stored.outside if stored else [])][:OUTSIDE_KEPT],
    }
    if applied.changes:
        facts |= {"applied_at": moment, "applied_changes": applied.changes}
    StoredGroups.objects.update_or_create(cluster=cluster, defaults=facts)
