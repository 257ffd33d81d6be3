from django.apps import AppConfig


class OutboxConfig(AppConfig):
    name = "portal.outbox"
    label = "outbox"

    def ready(self) -> None:
        from portal.outbox.metrics import collect  # noqa: PLC0415  models must be ready first
        from portal.web import metrics  # noqa: PLC0415

        metrics.register(collect)
