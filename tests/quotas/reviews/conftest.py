from collections.abc import Callable

import pytest

from portal.people.models import User
from quotas.applications.models import Application
from quotas.reviews.models import Decision
from quotas.reviews.services import decision_propose
from tests.quotas.applications.conftest import application, programme  # noqa: F401  the same application and programme

Propose = Callable[..., Decision]


@pytest.fixture
def propose(application: Application, operator: User) -> Propose:  # noqa: F811
    """An (operator) proposes to award 400 of the 500 hours, unless told otherwise."""

    def make(**changes: object) -> Decision:
        wanted: dict[str, object] = {
            "person": operator,
            "application": application,
            "outcome": "award",
            "awarded_gpu_hours": 400,
            "cluster": "local",
            "reason": "Đúng sản phẩm ưu tiên.",
        }
        return decision_propose(**{**wanted, **changes})  # type: ignore[arg-type]

    return make
