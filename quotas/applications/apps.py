from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ApplicationsConfig(AppConfig):
    name = "quotas.applications"
    label = "applications"

    def ready(self) -> None:
        from portal.people.rules import reads_everything  # noqa: PLC0415  models must be ready first
        from portal.web.registry import home_cards, navigation  # noqa: PLC0415
        from quotas.applications.rules import writes_any  # noqa: PLC0415

        home_cards.register("applications:card", order=11, wide=True, show=writes_any)
        navigation.register(
            "applications:list",
            label=_("Applications"),
            icon="file-text",
            order=30,
            show=reads_everything | writes_any,
        )
