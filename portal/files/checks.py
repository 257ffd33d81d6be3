from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error


def media_root_is_not_served(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """Nothing that WhiteNoise or another web server hands out by its path lies above MEDIA_ROOT."""
    media = Path(settings.MEDIA_ROOT).resolve()
    served = [Path(place).resolve() for place in (settings.STATIC_ROOT, *settings.STATICFILES_DIRS)]
    if any(media.is_relative_to(place) or place.is_relative_to(media) for place in served):
        return [Error("MEDIA_ROOT lies in a directory whose files everybody may fetch, or around one.", id="files.E1")]
    return []
