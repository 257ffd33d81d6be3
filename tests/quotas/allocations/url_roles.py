from collections.abc import Callable
from datetime import date

from portal.clock import now
from quotas.allocations.models import CloseOut
from quotas.allocations.services import cluster_move, voucher_award
from quotas.ledger.models import Transfer
from quotas.programmes.services import imported_programme_ensure
from tests.quotas import makers
from tests.urls.roles import Row, World

READERS = {"operator": 200, "second_operator": 200, "approver": 200, "auditor": 200}
MEMBERS = {"researcher": 200, "pi": 200, "organisation_manager": 200}
OPERATORS = {"operator": 302, "second_operator": 302}
REASON = {"reason": "x"}
MORE = {"kind": "more", "gpu_hours": "5", "reason": "Thêm dữ liệu"}
CONFIRMED = {"confirmed": "1"}


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

    world.tranched = makers.voucher_with_money(world.project)
    ended = makers.award(world.project, world.allocation.voucher.programme, gpu_seconds=makers.HOUR).voucher
    CloseOut.objects.create(
        voucher=ended, state="closed", title="Mô hình", summary="Đã xong", opened_at=now(), closed_at=now()
    )
    world.ended = ended
    world.between = cluster_move(
        source_id=world.allocation.pk, cluster="south", amount_gpu_seconds=makers.HOUR, reason="x", actor="test"
    )


def voucher(world: World) -> list[str]:
    return [world.tranched.number]


def verb(name: str) -> Callable[[World], list[str]]:
    return lambda world: [world.tranched.number, name]


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
    # Those who may see it read it; those whose move it is may take it back.
    Row(
        "allocations:move_cancel",
        404,
        args=lambda world: [world.between.pk],
        operator=200,
        second_operator=200,
        organisation_manager=200,
        pi=200,
    ),
    Row(
        "allocations:move_cancel",
        404,
        post=REASON,
        args=lambda world: [world.between.pk],
        **OPERATORS,
        organisation_manager=302,
        pi=302,
    ),
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
    Row("vouchers:list", 200),
    Row("vouchers:voucher", 404, args=voucher, organisation_manager=200, **READERS),
    Row("vouchers:verb", 404, args=verb("change"), organisation_manager=200),
    Row("vouchers:verb", 404, args=verb("change"), post={}, organisation_manager=422),
    Row("vouchers:verb", 404, args=verb("change"), post=MORE, organisation_manager=200),
    Row("vouchers:verb", 404, args=verb("change"), post=MORE | CONFIRMED, organisation_manager=302),
    Row("vouchers:verb", 404, args=verb("propose-clawback"), operator=200, second_operator=200),
    Row("vouchers:verb", 404, args=verb("propose-clawback"), post={}, operator=422, second_operator=422),
    Row(
        "vouchers:verb",
        404,
        args=verb("propose-clawback"),
        post={"percent": "50", "reason": "x"} | CONFIRMED,
        operator=302,
        second_operator=302,
    ),
    Row("vouchers:verb", 404, args=verb("check-commitments")),
    Row("vouchers:verb", 404, args=verb("no-such-verb")),
    Row(
        "vouchers:organisation_card",
        404,
        args=lambda world: [world.organisation.slug],
        organisation_member=204,
        researcher=204,
        pi=204,
        organisation_manager=200,
        **READERS,
    ),
    Row("vouchers:results", 200, anonymous=200),
    Row("vouchers:result", 200, anonymous=200, args=lambda world: [world.ended.number]),
    Row("vouchers:result", 404, anonymous=404, args=voucher),
]
