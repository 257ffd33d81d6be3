"""The kinds of proposals. Apps above register theirs in AppConfig.ready():

    kinds.register(Kind(name="tariff", label=_("Tariff"), carry_out=tariff_carry_out, describe=…, url=…, summary=…))

A kind's name is stored with every proposal: it is never changed and never given to another meaning.
"""

from collections.abc import Callable
from dataclasses import dataclass

from django.utils.functional import Promise

from portal.people.rules import Person, is_operator
from quotas.proposals.models import Proposal
from quotas.proposals.rules import may_approve

Fact = tuple[str | Promise, object]  # what is said, and its value for a page


def _no_summary(proposal: Proposal) -> str:
    return ""


def _nothing(proposal: Proposal) -> None:
    return None


@dataclass(frozen=True)
class Kind:
    """What a proposal of this kind does, how it reads, and who may take part.

    carry_out runs in the transaction of the last approval, after the state has changed; an error of one of the classes
    in `refusals` takes that approval back and is shown as its sentence. describe gives the facts for the page; summary
    is one line for lists, from the proposal's own facts, without a query. url is the page of what it is about.
    automatic: a process may propose it too. sent_back runs in the transaction that closes it without carrying it out.
    """

    name: str
    label: str | Promise
    carry_out: Callable[[Proposal], None]
    describe: Callable[[Proposal], list[Fact]]
    url: Callable[[Proposal], str]
    summary: Callable[[Proposal], str] = _no_summary
    may_propose: Callable[[Person], bool] = is_operator
    may_approve: Callable[[Person], bool] = may_approve
    refusals: tuple[type[Exception], ...] = ()
    automatic: bool = False
    sent_back: Callable[[Proposal], None] = _nothing


_kinds: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    _kinds[kind.name] = kind


def kind_of(proposal: Proposal) -> Kind:
    return _kinds[proposal.kind]


def get(name: str) -> Kind:
    """Raises KeyError for a kind that nobody registered."""
    return _kinds[name]


def all_kinds() -> list[Kind]:
    return list(_kinds.values())
