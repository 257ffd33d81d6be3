from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WebConfig(AppConfig):
    name = "portal.web"
    label = "web"

    def ready(self) -> None:
        from portal.web import health, metrics  # noqa: PLC0415  models must be ready first
        from portal.web.registry import navigation  # noqa: PLC0415

        navigation.register("web:home", label=_("Home"), icon="home", order=0)
        metrics.register(health.collect)
