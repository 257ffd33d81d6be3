from quotas.programmes.services import budget_propose
from quotas.proposals.services import conflict_declare
from tests.quotas import makers
from tests.urls.roles import Row, World

READERS = {"operator": 200, "second_operator": 200, "approver": 200, "auditor": 200}
DECIDERS = {"operator": 302, "second_operator": 302, "approver": 302}


def prepare(world: World) -> None:
    """A budget that the first operator proposed, and an interest that the reviewer declared."""
    programme = makers.programme()
    world.proposal = budget_propose(programme=programme, vnd=1, reason="x", person=world.operator)
    world.conflict = conflict_declare(
        person=world.reviewer, organisation=world.organisation, reason="x", declared_by=world.reviewer
    )


def proposal(world: World) -> list[object]:
    return [world.proposal.pk]


def conflict(world: World) -> list[int]:
    return [world.conflict.pk]


def interest(world: World) -> dict[str, object]:
    return {"organisation": world.organisation.pk, "reason": "Đồng tác giả"}


ROWS = [
    Row("proposals:list", 404, **READERS),
    Row("proposals:list", 404, query="?kind=budget", **READERS),
    Row("proposals:history", 404, **READERS),
    Row("proposals:card", 404, **READERS),
    Row("proposals:detail", 404, args=proposal, **READERS),
    # The proposer is told that another person must do it, on the page that the redirect leads to.
    Row("proposals:approve", 404, post={}, args=proposal, **DECIDERS),
    Row("proposals:approve", 405, args=proposal, anonymous=405),
    Row("proposals:send_back", 404, post={"reason": "x"}, args=proposal, **DECIDERS),
    Row("proposals:send_back", 404, post={}, args=proposal, operator=422, second_operator=422, approver=422),
    Row("proposals:conflicts", 404, reviewer=200, **READERS),
    Row("proposals:conflicts", 404, post=interest, reviewer=302, auditor=302, **DECIDERS),
    Row("proposals:conflict_lift", 404, post={}, args=conflict, **DECIDERS),
    Row("proposals:conflict_lift", 405, args=conflict, anonymous=405),
]
