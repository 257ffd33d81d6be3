from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AllocationsConfig(AppConfig):
    name = "quotas.allocations"
    label = "allocations"

    def ready(self) -> None:
        from portal.people.rules import is_in_a_project, manages_any, reads_everything  # noqa: PLC0415  models first
        from portal.web import metrics  # noqa: PLC0415
        from portal.web.registry import (  # noqa: PLC0415
            home_cards,
            navigation,
            organisation_cards,
            project_cards,
        )
        from quotas.allocations import kinds  # noqa: PLC0415
        from quotas.ledger.metrics import collect  # noqa: PLC0415

        kinds.register()

        metrics.register(collect)  # the ledger itself knows of no page
        home_cards.register("allocations:home_card", order=30, wide=True, show=is_in_a_project)
        project_cards.register("allocations:project_card", order=10, wide=True)
        organisation_cards.register("allocations:organisation_card", order=10, wide=True)
        organisation_cards.register("vouchers:organisation_card", order=5, wide=True)
        navigation.register(
            "vouchers:list",
            label=_("Vouchers"),
            icon="ticket",
            order=22,
            show=manages_any | reads_everything,
        )
        navigation.register(
            "allocations:list",
            label=_("Allocations"),
            icon="wallet",
            order=25,
            show=is_in_a_project | manages_any | reads_everything,
        )
