from django.apps import AppConfig


class AttributionConfig(AppConfig):
    name = "monitoring.attribution"
    label = "attribution"

    def ready(self) -> None:
        from monitoring.attribution.metrics import collect  # noqa: PLC0415  models must be ready first
        from portal.web import metrics as page  # noqa: PLC0415

        page.register(collect)
