"""What is refused. `field` names the form field that the message belongs beside; `str(error)` is a sentence."""


class DataSetError(Exception):
    """A rule of data sets refused it. Nothing was written."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class Invalid(DataSetError):
    """A value that no data set may have."""


class WrongState(DataSetError):
    """It cannot be done in the state that the data set is in by now."""


class PlanChanged(Exception):
    """The plan is another one than the person saw when they asked to apply it."""
