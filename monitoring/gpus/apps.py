from django.apps import AppConfig


class GpusConfig(AppConfig):
    name = "monitoring.gpus"
    label = "gpus"

    def ready(self) -> None:
        from portal.web.registry import job_cards  # noqa: PLC0415  models must be ready first

        job_cards.register("gpus:job", order=20)
