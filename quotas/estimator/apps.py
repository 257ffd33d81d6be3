from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class EstimatorConfig(AppConfig):
    name = "quotas.estimator"
    label = "estimator"

    def ready(self) -> None:
        from portal.web.registry import navigation  # noqa: PLC0415  models must be ready first

        navigation.register("estimator:page", label=_("Estimator"), icon="calculator", order=35)
