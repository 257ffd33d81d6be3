"""What an estimate can be refused for. `str(error)` is a sentence for a person, `field` is what it is said beside."""


class EstimateError(Exception):
    """An input is out of its range, unknown, or does not fit another. `field` is a keyword of `services.estimate`."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field
