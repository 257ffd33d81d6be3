from django.apps import AppConfig


class RollupsConfig(AppConfig):
    name = "monitoring.rollups"
    label = "rollups"

    def ready(self) -> None:
        from monitoring.rollups.metrics import collect  # noqa: PLC0415  models must be ready first
        from portal.web import metrics as page  # noqa: PLC0415

        page.register(collect)
