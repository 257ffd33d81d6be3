from datetime import date
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.db.models import Min

from monitoring.reports.models import EnergyFactor, Publication
from monitoring.reports.nation.figures import content_of
from monitoring.reports.nation.quarters import Quarter
from monitoring.rollups.models import OrganisationDay
from monitoring.rollups.selectors import counted_until
from portal.clock import centre_date, centre_zone, now
from portal.people.models import User
from portal.people.rules import is_operator


def factor_enter(*, person: User, kind: str, value: Decimal, valid_from: date, source: str) -> EnergyFactor:
    """A PUE or a grid's factor from a day on. What stands stays: of several of one day the last one counts.

    Raises PermissionError for those who do not run the centre.
    """
    if not is_operator(person):
        raise PermissionError("operators enter factors")
    return EnergyFactor.objects.create(
        kind=kind, value=value, valid_from=valid_from, source=source, entered_by=person, entered_at=now()
    )


def quarters_publish() -> list[Publication]:
    """Every quarter since the first figures that is over and settled, and was not published: each once and for good.

    A quarter behind which too few organisations stand is published as that. One that is not counted yet waits.
    """
    first = OrganisationDay.objects.aggregate(first=Min("day"))["first"]
    if first is None:
        return []
    published, made = set(Publication.objects.values_list("quarter", flat=True)), []
    quarter, today, counted = Quarter.of(first), centre_date(now()), counted_until()
    while quarter.is_settled(today):
        is_counted = counted is None or counted >= quarter.days.ends_at(centre_zone())
        if str(quarter) not in published and is_counted:
            with transaction.atomic():
                content = content_of(quarter.days, settings.PUBLIC_LEAST_ORGANISATIONS) or {"total": None}
                content["least_organisations"] = settings.PUBLIC_LEAST_ORGANISATIONS
                made.append(Publication.objects.create(quarter=str(quarter), content=content, published_at=now()))
        quarter = quarter.next
    return made
