from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ReportsConfig(AppConfig):
    name = "monitoring.reports"
    label = "reports"

    def ready(self) -> None:
        from portal.people.rules import manages_any, reads_everything  # noqa: PLC0415  models must be ready first
        from portal.web.registry import (  # noqa: PLC0415
            home_cards,
            navigation,
            organisation_cards,
            project_cards,
        )

        home_cards.register("reports:home_card", order=30, wide=True, show=manages_any)
        organisation_cards.register("reports:organisation_card", order=20, wide=True)
        project_cards.register("reports:project_card", order=40, wide=True)
        navigation.register("nation:public", label=_("National figures"), icon="world", order=42)
        navigation.register(
            "reports:list",
            label=_("Reports"),
            icon="report-analytics",
            order=40,
            show=manages_any | reads_everything,
        )
