from datetime import timedelta
from typing import Any

import pytest

from portal.clock import centre_date, now
from portal.people.models import Organisation, User
from quotas.applications.models import Application
from quotas.applications.services import application_submit
from quotas.programmes.models import Programme
from tests.quotas import makers


def submit(person: User, organisation: Organisation, programme: Programme, **changes: Any) -> Application:
    """An application for 10 H100-hours in the next thirty days, unless told otherwise."""
    today = centre_date(now())
    wanted: dict[str, Any] = {
        "project_title": "Trợ lý ảo",
        "purpose": "Tinh chỉnh",
        "gpu_type": "h100",
        "gpu_hours": 10,
        "starts_on": today,
        "ends_on": today + timedelta(days=30),
    }
    return application_submit(person=person, organisation=organisation, programme=programme, **{**wanted, **changes})


@pytest.fixture
def programme(db: None) -> Programme:
    return makers.programme()


@pytest.fixture
def application(organisation: Organisation, organisation_manager: User, programme: Programme) -> Application:
    """Sao Mai AI asks for 500 H100-hours for a year."""
    return submit(
        organisation_manager,
        organisation,
        programme,
        project_title="Trợ lý ảo tiếng Việt",
        purpose="Tinh chỉnh một mô hình mở.",
        gpu_hours=500,
        ends_on=centre_date(now()) + timedelta(days=364),
    )
