"""Points at which a test lets this process die, as if it had been killed there with -9.

SAOLA_FAULT_POINT names one of them. Outside demo and test stacks (DEMO off) nothing here does anything.
"""

import os
import signal
from collections.abc import Callable

from django.conf import settings


def _die_at(chosen: str) -> Callable[[str], None]:
    def reach(point: str) -> None:
        if point == chosen:
            os.killpg(os.getpgrp(), signal.SIGKILL)

    return reach


def _nothing(point: str) -> None:
    """Where no fault is wanted."""


reach: Callable[[str], None] = (
    _die_at(os.environ["SAOLA_FAULT_POINT"]) if settings.DEMO and os.environ.get("SAOLA_FAULT_POINT") else _nothing
)
