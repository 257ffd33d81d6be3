from django.apps import AppConfig
from django.core import checks


class FilesConfig(AppConfig):
    name = "portal.files"
    label = "files"

    def ready(self) -> None:
        from portal.files.checks import media_root_is_not_served  # noqa: PLC0415  models must be ready first
        from portal.files.metrics import collect  # noqa: PLC0415
        from portal.web import metrics  # noqa: PLC0415

        checks.register(media_root_is_not_served)
        metrics.register(collect)
