from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ProgrammesConfig(AppConfig):
    name = "quotas.programmes"
    label = "programmes"

    def ready(self) -> None:
        from portal.people.rules import manages_any, reads_everything  # noqa: PLC0415  models must be ready first
        from portal.web.registry import navigation  # noqa: PLC0415
        from quotas.estimator import tariffs  # noqa: PLC0415
        from quotas.programmes import kinds, selectors  # noqa: PLC0415

        kinds.register()
        tariffs.register(selectors.tariff_today)
        navigation.register(
            "programmes:list", label=_("Programmes"), icon="coins", order=28, show=manages_any | reads_everything
        )
