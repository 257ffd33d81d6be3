"""Everything that settlement writes: charges from records, holds of jobs from outside, imported history."""

from scheduler.settlement.services.importing import Imported, history_import
from scheduler.settlement.services.settling import Settled, settle

__all__ = ["Imported", "Settled", "history_import", "settle"]
