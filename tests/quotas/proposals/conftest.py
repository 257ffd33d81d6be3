"""A kind of proposal of the tests' own: what it carries out is written down, and can be told to refuse."""

from collections.abc import Callable, Iterator

import pytest

from portal.people.models import User
from quotas.proposals import kinds
from quotas.proposals.models import Proposal
from quotas.proposals.services import proposal_make

Make = Callable[..., Proposal]


class Refused(Exception):
    pass


class Done(list[Proposal]):
    refuses = False

    def carry_out(self, proposal: Proposal) -> None:
        if self.refuses:
            raise Refused("the budget is too small")
        self.append(proposal)


@pytest.fixture
def done() -> Iterator[Done]:
    """What was carried out. While a test runs there is a kind "test"."""
    done = Done()
    kinds.register(
        kinds.Kind(
            name="test",
            label="Test",
            carry_out=done.carry_out,
            describe=lambda proposal: [("Amount", proposal.facts["amount"])],
            summary=lambda proposal: f"amount {proposal.facts['amount']}",
            url=lambda proposal: "/",
            refusals=(Refused,),
            automatic=True,
        )
    )
    yield done
    kinds._kinds.pop("test")


@pytest.fixture
def make(done: Done, operator: User) -> Make:
    """An (operator) proposes, unless told otherwise."""

    def make(**changes: object) -> Proposal:
        wanted: dict[str, object] = {"kind": "test", "facts": {"amount": 7}, "reason": "needed", "person": operator}
        return proposal_make(**{**wanted, **changes})  # type: ignore[arg-type]

    return make
