from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AuditConfig(AppConfig):
    name = "portal.audit"
    label = "audit"

    def ready(self) -> None:
        from portal.people.rules import reads_everything  # noqa: PLC0415  models must be ready first
        from portal.web.registry import navigation  # noqa: PLC0415

        navigation.register(
            "audit:events", label=_("History"), icon="history", order=90, section="centre", show=reads_everything
        )
