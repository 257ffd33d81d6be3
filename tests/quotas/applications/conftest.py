from collections.abc import Callable
from datetime import timedelta

import pytest

from portal.clock import centre_date, now
from portal.people.models import Organisation, User
from quotas.applications.models import Application, Decision
from quotas.applications.services import application_submit, decision_propose
from quotas.programmes.models import Programme
from tests.quotas import makers


@pytest.fixture
def programme(db: None) -> Programme:
    return makers.programme()


@pytest.fixture
def application(organisation: Organisation, organisation_manager: User, programme: Programme) -> Application:
    """Sao Mai AI asks for 500 H100-hours for a year."""
    today = centre_date(now())
    return application_submit(
        person=organisation_manager,
        organisation=organisation,
        programme=programme,
        project_title="Trợ lý ảo tiếng Việt",
        purpose="Tinh chỉnh một mô hình mở.",
        gpu_type="h100",
        gpu_hours=500,
        starts_on=today,
        ends_on=today + timedelta(days=364),
    )


Propose = Callable[..., Decision]


@pytest.fixture
def propose(application: Application, operator: User) -> Propose:
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
