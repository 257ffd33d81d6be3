from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DatasetsConfig(AppConfig):
    name = "scheduler.datasets"
    label = "datasets"

    def ready(self) -> None:
        from portal.web.registry import navigation  # noqa: PLC0415  models must be ready first

        navigation.register("datasets:list", label=_("Data sets"), icon="database", order=23)
