"""What the pages of reviews share."""

from collections.abc import Callable

from django import forms

from quotas.allocations.errors import QuotaError
from quotas.applications.errors import ApplicationError
from quotas.programmes.errors import ProgrammeError
from quotas.proposals.errors import ProposalError

ROWS_A_PAGE = 50
CARD_ROWS = 5


def done(form: forms.Form, service: Callable[[], object]) -> bool:
    """Runs a service with a valid form; what it refuses becomes an error beside its field."""
    if not form.is_valid():
        return False
    try:
        service()
    except (ApplicationError, ProposalError) as error:
        form.add_error(error.field if error.field in form.fields else None, str(error))
        return False
    except (QuotaError, ProgrammeError) as error:  # the programme's budget, rules or tariff
        form.add_error("awarded_gpu_hours" if "awarded_gpu_hours" in form.fields else None, str(error))
        return False
    return True
