from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SettlementConfig(AppConfig):
    name = "scheduler.settlement"
    label = "settlement"

    def ready(self) -> None:
        from portal.people.rules import reads_everything  # noqa: PLC0415  models must be ready first
        from portal.web import metrics as page  # noqa: PLC0415
        from portal.web.registry import navigation  # noqa: PLC0415
        from quotas.statements.registry import consumption  # noqa: PLC0415
        from scheduler.accounts.registry import uncharged  # noqa: PLC0415
        from scheduler.settlement.metrics import collect  # noqa: PLC0415
        from scheduler.settlement.people import consumed_by_user  # noqa: PLC0415
        from scheduler.settlement.selectors import uncharged_by_qos  # noqa: PLC0415

        consumption.by_person = consumed_by_user
        uncharged.by_qos = uncharged_by_qos
        page.register(collect)
        navigation.register(
            "settlement:reconciliation",
            label=_("Reconciliation"),
            icon="scale",
            order=60,
            section="centre",
            show=reads_everything,
        )
