from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ClustersConfig(AppConfig):
    name = "scheduler.clusters"
    label = "clusters"

    def ready(self) -> None:
        from portal.web.registry import navigation  # noqa: PLC0415  models must be ready first

        navigation.register("clusters:capacities", label=_("GPUs and queue"), icon="cpu", order=25)
