"""Desired state against actual state, field by field. Pure: values in, a plan out.

What a plan never holds: anything about accounts and QOS that the portal did not make.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any
from uuid import UUID

from scheduler.accounts.limits import Limit
from scheduler.clusters.qos_rules import PersonLimits

FLAGS = ("DenyOnLimit", "NoDecay")
ROOT = "root"


class Verb(StrEnum):
    ADD = "add"
    CHANGE = "change"
    REMOVE = "remove"


class Kind(StrEnum):
    ACCOUNT = "account"
    QOS = "qos"
    ASSOCIATION = "association"


@dataclass(frozen=True, slots=True)
class AccountState:
    parent: str


@dataclass(frozen=True, slots=True)
class QosState:
    """`minutes` by TRES: "gres/gpu" and "gres/gpu:TYPE". A typed limit alone would not hold back untyped requests."""

    flags: tuple[str, ...]
    grp_tres_mins: Mapping[str, int]
    min_tres_per_job: Mapping[str, int]
    grp_jobs: int | None
    grp_submit_jobs: int | None
    max_tres_per_job: Mapping[str, int] = field(default_factory=dict)
    max_tres_per_user: Mapping[str, int] = field(default_factory=dict)
    max_wall_minutes: int | None = None
    max_jobs_per_user: int | None = None
    max_submit_per_user: int | None = None

    @classmethod
    def of_allocation(
        cls,
        *,
        gpu_type: str,
        minutes: int,
        is_open: bool,
        takes_new: bool = True,
        sandbox: PersonLimits | None = None,
    ) -> "QosState":
        """A suspended or ended allocation's QOS takes no jobs; what runs goes on, what waits waits. On a retired
        cluster (`takes_new`) what waits starts, and nothing is submitted any more.

        `sandbox`: what one person may have at once of a sandbox allocation, beside its budget.
        """
        shut = None if is_open else 0
        return cls(
            flags=FLAGS,
            grp_tres_mins={"gres/gpu": minutes, f"gres/gpu:{gpu_type}": minutes},
            min_tres_per_job={"gres/gpu": 1},
            grp_jobs=shut,
            grp_submit_jobs=shut if takes_new else 0,
            **({} if sandbox is None else _of_person(sandbox, {"gres/gpu": sandbox.gpus})),
        )

    @classmethod
    def of_cpu(cls, limits: PersonLimits) -> "QosState":
        """Preparing data: no GPU in any job of it, and of CPUs no more than one person's share."""
        return cls(
            flags=FLAGS,
            grp_tres_mins={"gres/gpu": 0},
            min_tres_per_job={},
            grp_jobs=None,
            grp_submit_jobs=None,
            max_tres_per_job={"gres/gpu": 0},
            **_of_person(limits, {"cpu": limits.cpus}),
        )


def _of_person(limits: PersonLimits, tres: Mapping[str, int]) -> dict[str, Any]:
    return {
        "max_tres_per_user": tres,
        "max_wall_minutes": limits.time_limit_s // 60,
        "max_jobs_per_user": limits.jobs,
        "max_submit_per_user": limits.queued,
    }


@dataclass(frozen=True, slots=True)
class AssociationState:
    qos: tuple[str, ...]
    default_qos: str
    max_jobs: int | None = None  # 0: blocked until its running jobs end and it can be removed
    max_submit_jobs: int | None = None

    @property
    def is_blocked(self) -> bool:
        return self.max_jobs == 0 and self.max_submit_jobs == 0


ObjectState = AccountState | QosState | AssociationState
AssociationKey = tuple[str, str, str]  # account, user, partition ("": bound to none)


@dataclass(frozen=True)
class State:
    accounts: Mapping[str, AccountState] = field(default_factory=dict)
    qos: Mapping[str, QosState] = field(default_factory=dict)
    associations: Mapping[AssociationKey, AssociationState] = field(default_factory=dict)


@dataclass(frozen=True)
class Owned:
    """Names that the portal made on this cluster, and nobody else may be touched."""

    accounts: frozenset[str] = frozenset()
    qos: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Change:
    """One field. None: nothing there (before an addition, after a removal) or no limit."""

    kind: Kind
    name: str
    field: str
    before: object
    after: object

    def as_json(self) -> dict[str, object]:
        return {
            "object": str(self.kind),
            "name": self.name,
            "field": self.field,
            "from": _plain(self.before),
            "to": _plain(self.after),
        }


@dataclass(frozen=True, slots=True)
class Action:
    """Everything that the plan does to one object."""

    verb: Verb
    kind: Kind
    key: tuple[str, ...]
    changes: tuple[Change, ...]
    is_blocked: bool = False  # a removal whose access has ended already: it waits for running jobs

    @property
    def name(self) -> str:
        return "/".join(self.key)


@dataclass(frozen=True, slots=True)
class Note:
    """Why something that one might expect is not in the plan."""

    code: str  # waits_for_unix_account, no_unix_account, foreign_name, no_partition
    name: str
    about: str = ""

    def as_json(self) -> dict[str, object]:
        return {"code": self.code, "name": self.name, "about": self.about}


@dataclass(frozen=True, slots=True)
class Leaving:
    """A withdrawal; `goes_to_others`: somebody gets to spend it elsewhere."""

    withdrawal: UUID
    qos: str
    goes_to_others: bool


@dataclass(frozen=True)
class Plan:
    actions: tuple[Action, ...] = ()
    notes: tuple[Note, ...] = ()
    desired: State = field(default_factory=State)
    # Withdrawals that these limits leave out already: confirmed once the limits were read back.
    withdrawals: tuple[Leaving, ...] = ()
    limits: Mapping[str, Limit] = field(default_factory=dict)  # by QOS: how each limit came about

    @property
    def changes(self) -> list[Change]:
        return [change for action in self.actions for change in action.changes]

    def of(self, verb: Verb) -> list[Action]:
        return [action for action in self.actions if action.verb == verb]

    def only(self, kind: str, name: str) -> "Plan":
        """What it does to one object. Limits are read back and withdrawals confirmed all the same."""
        return replace(self, actions=tuple(row for row in self.actions if (row.kind, row.name) == (kind, name)))

    @property
    def removals(self) -> list[Action]:
        """Those that would take something away now; a blocked association has lost its access already."""
        return [action for action in self.of(Verb.REMOVE) if not action.is_blocked]


def plan(desired: State, actual: State, owned: Owned, notes: Sequence[Note] = ()) -> Plan:
    """Limits first; then accounts, parents before children; then members; removals last, children before parents.

    Within each kind additions come before changes. A limit that must fall never waits behind a thousand new members.
    """
    foreign = {name for name in desired.accounts if name in actual.accounts and name not in owned.accounts}
    foreign_qos = {name for name in desired.qos if name in actual.qos and name not in owned.qos}
    # Below a foreign account nothing is ours either.
    foreign |= {name for name, account in desired.accounts.items() if account.parent in foreign}
    ours = _without(desired, foreign, foreign_qos)
    theirs = State(
        accounts={name: row for name, row in actual.accounts.items() if name in owned.accounts},
        qos={name: row for name, row in actual.qos.items() if name in owned.qos},
        associations={key: row for key, row in actual.associations.items() if key[0] in owned.accounts},
    )
    kept = _abandoned_qos_shut(ours, theirs)
    actions = [
        *_diff(Kind.QOS, kept.qos, theirs.qos),
        *_diff(Kind.ACCOUNT, kept.accounts, theirs.accounts),
        *_diff(Kind.ASSOCIATION, kept.associations, theirs.associations),
    ]
    stay = _kept_for_children(actual, kept, owned)
    actions = [row for row in actions if not (row.kind == Kind.ACCOUNT and row.key[0] in stay)]
    found_notes = [*notes, *(Note("foreign_name", name) for name in sorted(foreign | foreign_qos))]
    ordered = sorted(actions, key=lambda row: _order(row, kept, theirs))
    return Plan(tuple(ordered), tuple(found_notes), kept)


def _without(desired: State, accounts: set[str], qos: set[str]) -> State:
    """Desired state without names that somebody else has on this cluster."""
    if not accounts and not qos:
        return desired
    associations = {}
    for key, row in desired.associations.items():
        left = tuple(name for name in row.qos if name not in qos)
        if key[0] not in accounts and left:
            default = row.default_qos if row.default_qos in left else left[0]
            associations[key] = AssociationState(qos=left, default_qos=default)
    return State(
        accounts={name: row for name, row in desired.accounts.items() if name not in accounts},
        qos={name: row for name, row in desired.qos.items() if name not in qos},
        associations=associations,
    )


def _abandoned_qos_shut(desired: State, ours: State) -> State:
    """A QOS is never removed (its counter would begin at zero under the same name); one not wanted is shut."""
    shut = {
        name: replace(row, grp_jobs=0, grp_submit_jobs=0) for name, row in ours.qos.items() if name not in desired.qos
    }
    return State(desired.accounts, {**desired.qos, **shut}, desired.associations) if shut else desired


def _kept_for_children(actual: State, desired: State, owned: Owned) -> set[str]:
    """Accounts of ours that are not wanted, but have others' accounts below them: Slurm would remove those too."""
    unwanted = {name for name in owned.accounts if name in actual.accounts and name not in desired.accounts}
    going = set(unwanted)
    while used := {row.parent for name, row in actual.accounts.items() if name not in going} & going:
        going -= used
    return unwanted - going


def _diff(kind: Kind, desired: Mapping[Any, ObjectState], actual: Mapping[Any, ObjectState]) -> Iterator[Action]:
    for key in sorted({*desired, *actual}):
        names = key if isinstance(key, tuple) else (key,)
        wanted, found = desired.get(key), actual.get(key)
        changes = tuple(_changes(kind, "/".join(names), found, wanted))
        if not changes:
            continue
        verb = Verb.ADD if found is None else Verb.REMOVE if wanted is None else Verb.CHANGE
        is_blocked = verb == Verb.REMOVE and isinstance(found, AssociationState) and found.is_blocked
        yield Action(verb, kind, names, changes, is_blocked)


def _changes(kind: Kind, name: str, before: ObjectState | None, after: ObjectState | None) -> Iterator[Change]:
    known = before or after
    for name_of_field in (part.name for part in fields(known)) if known else ():
        old = getattr(before, name_of_field, None)
        new = getattr(after, name_of_field, None)
        if old != new:
            yield Change(kind, name, name_of_field, old, new)


def _order(action: Action, desired: State, actual: State) -> tuple[int, int, int, int, tuple[str, ...]]:
    kinds = {Kind.QOS: 0, Kind.ACCOUNT: 1, Kind.ASSOCIATION: 2}
    rank, depth = kinds[action.kind], 0
    if action.kind == Kind.ACCOUNT:
        depth = _depth(action.key[0], {**actual.accounts, **desired.accounts})
    if action.verb == Verb.REMOVE:
        return 1, -rank, -depth, 0, action.key
    return 0, rank, depth, int(action.verb == Verb.CHANGE), action.key


def _depth(name: str, accounts: Mapping[str, AccountState]) -> int:
    depth = 0
    while name in accounts and depth < len(accounts):
        name, depth = accounts[name].parent, depth + 1
    return depth


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(sorted(value.items()))
    return list(value) if isinstance(value, tuple) else value
