from datetime import timedelta
from typing import Any

import pytest

from portal.clock import centre_date, now
from portal.outbox.models import Message
from portal.people.models import Organisation, User
from portal.people.services import language_set
from quotas.applications.models import Application
from quotas.applications.services import answers_save, application_begin, application_submit, draft_submit
from quotas.programmes.models import Call, Programme
from tests.quotas import makers


def submit(person: User, organisation: Organisation, programme: Programme, **changes: Any) -> Application:
    """An application without a call for 10 H100-hours in the next thirty days, unless told otherwise; its people have
    their mails already.
    """
    today = centre_date(now())
    wanted: dict[str, Any] = {
        "project_title": "Trợ lý ảo",
        "purpose": "Tinh chỉnh",
        "gpu_type": "h100",
        "gpu_hours": 10,
        "starts_on": today,
        "ends_on": today + timedelta(days=30),
    }
    made = application_submit(person=person, organisation=organisation, programme=programme, **{**wanted, **changes})
    mails_forget()
    return made


def mails_forget() -> None:
    Message.objects.filter(topic="applications.moved").delete()


def complete_texts(**changes: str) -> dict[str, str]:
    """Texts for all that a call of `makers.call` asks for, as a person types them."""
    today = centre_date(now())
    texts = {
        "project_title": "Trợ lý ảo tiếng Việt",
        "purpose": "Tinh chỉnh một mô hình mở cho tiếng Việt.",
        "sector": "education",
        "product_group": "assistant",
        "base_model": "Llama 3.1 8B",
        "base_model_licence": "llama",
        "parameters": "8e9",
        "tokens": "50e9",
        "precision": "bf16",
        "data_sets": "Wikipedia tiếng Việt, 5 GB, CC BY-SA",
        "risk_manipulates": "no",
        "risk_scores_people": "no",
        "risk_forbidden_biometrics": "no",
        "risk_product_safety": "no",
        "risk_area": "none",
        "risk_people_told": "yes",
        "risk_general_purpose": "no",
        "open_use": "yes",
        "open_methods": "yes",
        "open_data": "no",
        "gpu_type": "h100",
        "gpu_hours": "500",
        "starts_on": today.isoformat(),
        "ends_on": (today + timedelta(days=364)).isoformat(),
        "q.q1": "Văn bản công khai",
        "q.q3": "idea",
    }
    return texts | changes


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


@pytest.fixture
def call(programme: Programme) -> Call:
    """Open for thirty days, with a question of each kind; those of text and choice are required."""
    return makers.call(programme)


@pytest.fixture
def draft(organisation: Organisation, organisation_manager: User, call: Call) -> Application:
    """Lan has begun it; nothing stands in it."""
    return application_begin(person=organisation_manager, organisation=organisation, call=call)


@pytest.fixture
def complete(draft: Application, organisation_manager: User) -> Application:
    """A draft in which nothing is missing."""
    answers_save(person=organisation_manager, application=draft, texts=complete_texts())
    draft.refresh_from_db()
    return draft


@pytest.fixture
def submitted(complete: Application, organisation_manager: User) -> Application:
    made = draft_submit(person=organisation_manager, application=complete)
    mails_forget()
    return made


@pytest.fixture
def english_manager(organisation_manager: User) -> User:
    language_set(user=organisation_manager, language="en")
    return organisation_manager
