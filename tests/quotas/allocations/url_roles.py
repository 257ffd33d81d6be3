from datetime import date

from quotas.allocations.services import voucher_award
from quotas.ledger.models import Transfer
from quotas.programmes.services import imported_programme_ensure
from tests.quotas import makers
from tests.urls.roles import Row, World

READERS = {"operator": 200, "second_operator": 200, "approver": 200, "auditor": 200}
MEMBERS = {"researcher": 200, "pi": 200, "organisation_manager": 200}
OPERATORS = {"operator": 302, "second_operator": 302}
REASON = {"reason": "x"}


def prepare(world: World) -> None:
    """An allocation of the project, and imported history of it that nobody has adopted."""
    world.allocation = makers.award(world.project, makers.programme())
    world.batch = Transfer.objects.get(credit=world.allocation.account_id).batch
    world.suspended = makers.award(world.project, world.allocation.voucher.programme)
    makers.suspend(world.suspended)
    world.history = voucher_award(
        organisation=world.organisation,
        project=world.project,
        programme=imported_programme_ensure(gpu_types=["h100"], actor="test"),
        gpu_type="h100",
        amount_gpu_seconds=1,
        cluster="local",
        starts_on=date(2025, 1, 1),
        ends_on=date(2025, 1, 2),
        actor="test",
        imported=True,
    )


def allocation(world: World) -> list[int]:
    return [world.allocation.pk]


ROWS = [
    Row("allocations:list", 200),
    Row("allocations:detail", 404, args=allocation, **MEMBERS, **READERS),
    Row("allocations:transfers", 404, args=allocation, query="?figure=granted", **MEMBERS, **READERS),
    Row("allocations:transfers", 404, args=allocation, query="?figure=other"),
    Row("allocations:batch", 404, args=lambda world: [world.allocation.pk, world.batch], **MEMBERS, **READERS),
    Row("allocations:batch", 404, args=lambda world: [world.allocation.pk, makers.named("no batch")]),
    Row("allocations:suspend", 404, post=REASON, args=allocation, **OPERATORS),
    Row("allocations:suspend", 404, post={}, args=allocation, operator=422, second_operator=422),
    Row("allocations:suspend", 405, args=allocation, anonymous=405),
    Row("allocations:resume", 404, post=REASON, args=lambda world: [world.suspended.pk], **OPERATORS),
    Row("allocations:close", 404, post=REASON, args=allocation, **OPERATORS),
    Row("allocations:adopt", 404, post={}, args=lambda world: [world.history.pk], **OPERATORS),
    Row("allocations:home_card", 200),
    Row("allocations:project_card", 404, args=lambda world: [world.project.slug], **MEMBERS, **READERS),
    # A member of the organisation may open its page; the allocations there are those of the own projects.
    Row(
        "allocations:organisation_card",
        404,
        args=lambda world: [world.organisation.slug],
        organisation_member=204,
        **MEMBERS,
        **READERS,
    ),
]
