"""What a voucher was awarded for: sector and product group of its application. Empty where nobody said."""

from collections import defaultdict
from collections.abc import Collection
from typing import NamedTuple

from quotas.allocations.models import Voucher


class Purpose(NamedTuple):
    sector: str = ""
    product_group: str = ""


NOT_STATED = Purpose()


def purposes_of(vouchers: Collection[int]) -> dict[int, Purpose]:
    """One that was exchanged for hours of another GPU type is for what the first was for. Vouchers without an
    application (imported history) are left out. A query, and one more for each exchange in a row."""
    found: dict[int, Purpose] = {}
    asking: dict[int, set[int]] = {pk: {pk} for pk in vouchers}
    while asking:
        rows = Voucher.objects.filter(pk__in=asking).values_list(
            "pk", "changed_from", "decision__application__sector", "decision__application__product_group"
        )
        earlier: dict[int, set[int]] = defaultdict(set)
        for pk, changed_from, sector, product_group in rows:
            if sector is not None:
                found |= dict.fromkeys(asking[pk], Purpose(sector, product_group))
            elif changed_from is not None:
                earlier[changed_from] |= asking[pk]
        asking = earlier
    return found
