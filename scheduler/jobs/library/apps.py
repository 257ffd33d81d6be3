from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class LibraryConfig(AppConfig):
    name = "scheduler.jobs.library"
    label = "library"

    def ready(self) -> None:
        from portal.people.rules import is_operator  # noqa: PLC0415  models must be ready first
        from portal.web.registry import navigation  # noqa: PLC0415

        navigation.register(
            "library:list", label=_("Presets"), icon="rocket", order=55, section="centre", show=is_operator
        )
