"""Who should be in which group against who is. Pure: values in, a plan out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

Members: TypeAlias = frozenset[str]


@dataclass(frozen=True, slots=True)
class Action:
    """Everything that the plan does to one group."""

    group: str
    create: bool
    add: tuple[str, ...]
    remove: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        return {"group": self.group, "create": self.create, "add": list(self.add), "remove": list(self.remove)}


@dataclass(frozen=True)
class Plan:
    actions: tuple[Action, ...] = ()

    @property
    def removals(self) -> int:
        """People who would lose access to something, counted once for each group."""
        return sum(len(action.remove) for action in self.actions)

    @property
    def additions(self) -> int:
        return sum(len(action.add) for action in self.actions)


def plan(wanted: Mapping[str, Members], actual: Mapping[str, Members | None]) -> Plan:
    """`actual`: None where there is no such group yet. A group is made empty too, and never removed."""
    actions = []
    for group in sorted(wanted):
        there = actual.get(group)
        add, remove = wanted[group] - (there or frozenset()), (there or frozenset()) - wanted[group]
        if there is None or add or remove:
            actions.append(Action(group, there is None, tuple(sorted(add)), tuple(sorted(remove))))
    return Plan(tuple(actions))


def by_hand(
    last: Mapping[str, Members], actual: Mapping[str, Members | None], wanted: Mapping[str, Members]
) -> list[Action]:
    """What somebody else did against the plan since the groups were last read back. What the plan wants as well is not
    told: it may be the portal's own, of a worker that was killed before it could read back."""
    changed = []
    for group in sorted(last.keys() & wanted.keys()):
        there = actual.get(group) or frozenset()
        add, remove = there - last[group] - wanted[group], (last[group] - there) & wanted[group]
        if add or remove:
            changed.append(Action(group, False, tuple(sorted(add)), tuple(sorted(remove))))
    return changed
