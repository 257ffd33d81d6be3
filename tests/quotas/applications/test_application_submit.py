"""What an application may not say, with the field that it is wrong in."""

from datetime import timedelta

import pytest

from portal.clock import centre_date, now
from portal.people.models import Organisation, User
from quotas.applications import errors
from quotas.applications.models import Application
from quotas.programmes.models import Programme
from tests.quotas.applications.conftest import submit

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("project_title", "ab"),
        ("project_title", "x" * 201),
        ("project_title", "two\nlines"),
        ("project_title", "a 'quoted' title"),
        ("project_title", 'a "quoted" title'),
        ("project_title", "a; rm -rf /"),
        ("project_title", "`id` title"),
        ("project_title", "$(id) title"),
        ("project_title", "nul \x00 title"),
        ("project_title", "turned \u202e round"),
        ("purpose", " "),
        ("purpose", "nul \x00"),
        ("purpose", "x" * 10_001),
        ("gpu_type", "h200"),
        ("gpu_type", "h100; drop"),
        ("gpu_hours", 0),
        ("gpu_hours", -5),
        ("gpu_hours", 100_000_001),
    ],
)
def test_bad_input_names_its_field_and_writes_nothing(
    organisation_manager: User, organisation: Organisation, programme: Programme, field: str, value: object
) -> None:
    with pytest.raises(errors.Invalid) as refused:
        submit(organisation_manager, organisation, programme, **{field: value})
    assert refused.value.field == field
    assert not Application.objects.exists()


def test_bad_dates_name_their_field(
    organisation_manager: User, organisation: Organisation, programme: Programme
) -> None:
    today = centre_date(now())
    wrong = [
        ("starts_on", {"starts_on": today - timedelta(days=1)}),
        ("ends_on", {"ends_on": today - timedelta(days=1)}),
        ("ends_on", {"ends_on": programme.ends_on + timedelta(days=1)} if programme.ends_on.year < 9999 else {}),
    ]
    for field, dates in wrong:
        with pytest.raises(errors.Invalid) as refused:
            submit(organisation_manager, organisation, programme, **dates)
        assert refused.value.field == field


def test_nobody_applies_for_an_organisation_that_they_do_not_manage(
    organisation: Organisation, programme: Programme, outsider: User, pi: User, operator: User
) -> None:
    for person in (outsider, pi, operator):
        with pytest.raises(errors.NotManager) as refused:
            submit(person, organisation, programme)
        assert refused.value.field == "organisation"


def test_nobody_applies_to_a_programme_that_is_over(
    organisation_manager: User, organisation: Organisation, programme: Programme
) -> None:
    Programme.objects.update(ends_on=centre_date(now()) - timedelta(days=1))
    programme.refresh_from_db()
    with pytest.raises(errors.Invalid) as refused:
        submit(organisation_manager, organisation, programme)
    assert refused.value.field == "programme"
