"""What a GPU-hour costs, as another app knows it. That app fills it in from AppConfig.ready():

    from quotas.estimator import tariffs

    tariffs.register(lambda gpu_type: …)  # VND per GPU-hour today, None where the type has no tariff

Without one an estimate has no cost.
"""

from collections.abc import Callable

TariffFor = Callable[[str], int | None]

_registered: TariffFor | None = None


def register(tariff_for: TariffFor | None) -> None:
    """The last one counts; None takes it away."""
    global _registered
    _registered = tariff_for


def tariff_for(gpu_type: str) -> int | None:
    """VND per GPU-hour of the type today, or None."""
    return _registered(gpu_type) if _registered else None
