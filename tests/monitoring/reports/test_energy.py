"""Energy and CO₂, each day by the factors of that day."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import DatabaseError, transaction

from monitoring.days import Days
from monitoring.reports.energy import energy_of, factors_read
from monitoring.reports.models import EnergyFactor
from monitoring.reports.services import factor_enter
from monitoring.rollups.models import OrganisationDay
from monitoring.rollups.selectors import throughput_of
from portal.people.models import Organisation, User

pytestmark = pytest.mark.django_db
KWH = 3.6e6
DAYS = Days(date(2026, 6, 1), date(2026, 6, 2))


@pytest.fixture(autouse=True)
def _two_days(organisation: Organisation) -> None:
    for number in (1, 2):
        OrganisationDay.objects.create(
            organisation=organisation, gpu_type="h100", day=date(2026, 6, number), energy_j=100 * KWH
        )


def entered(person: User, kind: str, value: str, day: int) -> EnergyFactor:
    return factor_enter(
        person=person, kind=kind, value=Decimal(value), valid_from=date(2026, 6, day), source="Biên bản đo"
    )


def test_without_a_pue_co2_is_that_of_the_gpus(organisation: Organisation) -> None:
    found = energy_of(throughput_of(organisation, DAYS), factors_read()).by_type["h100"]
    assert (found.gpu_kwh, found.centre_kwh, found.is_co2_of_gpus_alone) == (200, None, True)
    assert found.co2_kg == pytest.approx(200 * 0.6592)  # the grid's of 2023, the last that was published


def test_a_factor_holds_from_its_day_on_and_the_last_word_counts(organisation: Organisation, operator: User) -> None:
    entered(operator, "pue", "1.5", 1)
    entered(operator, "pue", "1.25", 2)
    entered(operator, "pue", "1.2", 2)  # 1.25 was a slip
    entered(operator, "grid", "0.5", 2)
    report = energy_of(throughput_of(organisation, DAYS), factors_read())
    assert report.by_type["h100"].centre_kwh == pytest.approx(150 + 120)
    assert report.by_type["h100"].co2_kg == pytest.approx(150 * 0.6592 + 120 * 0.5)
    assert not report.total.is_co2_of_gpus_alone
    assert len(report.factors) == 4


def test_before_the_first_factor_co2_is_unknown(organisation: Organisation) -> None:
    OrganisationDay.objects.create(organisation=organisation, gpu_type="h200", day=date(2021, 12, 31), energy_j=KWH)
    found = energy_of(throughput_of(organisation, Days(date(2021, 1, 1), DAYS.last)), factors_read())
    assert found.by_type["h200"].co2_kg is found.total.co2_kg is None
    assert found.by_type["h100"].co2_kg is not None


def test_a_factor_stands_for_good(operator: User) -> None:
    made = entered(operator, "pue", "1.5", 1)
    with pytest.raises(DatabaseError), transaction.atomic():
        EnergyFactor.objects.filter(pk=made.pk).update(value=1)
    with pytest.raises(DatabaseError), transaction.atomic():
        entered(operator, "pue", "0.9", 1)


def test_only_operators_enter_factors(auditor: User) -> None:
    with pytest.raises(PermissionError):
        entered(auditor, "pue", "1.5", 1)
