"""What refusals have in common: a sentence for a person, and the form field that it belongs beside."""

from django.db import IntegrityError
from django.utils.functional import Promise


class Refusal(Exception):
    """A rule refused it. Nothing was written. `field` names the form field; "" is the whole form."""

    message: str | Promise = ""

    def __init__(self, message: str | Promise = "", *, field: str = "") -> None:
        super().__init__()
        self.message = message or self.message
        self.field = field

    def __str__(self) -> str:
        return str(self.message)


def constraint_of(error: IntegrityError) -> str:
    """The name of the constraint, or of the trigger's rule, that the database refused it by; "" where it says none."""
    return getattr(getattr(error.__cause__, "diag", None), "constraint_name", None) or ""
