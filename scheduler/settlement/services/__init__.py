"""Everything that settlement writes: charges from records, holds of jobs from outside, imported history."""

from scheduler.settlement.services.importing import Imported, TwoTimeZones, history_import
from scheduler.settlement.services.outside import Covered, outside_cover
from scheduler.settlement.services.reading import records_settle
from scheduler.settlement.services.reconciling import missing_keep, reconcile, reconcile_if_due
from scheduler.settlement.services.settling import settle
from scheduler.settlement.services.waiting import waiting_follow
from scheduler.settlement.services.work import Settled

__all__ = [
    "Covered",
    "Imported",
    "Settled",
    "TwoTimeZones",
    "history_import",
    "missing_keep",
    "outside_cover",
    "reconcile",
    "reconcile_if_due",
    "records_settle",
    "settle",
    "waiting_follow",
]
