class Later(Exception):
    """Raised by a handler that cannot deliver yet and knows why: tried again after `after_s` seconds, not a failure."""

    def __init__(self, after_s: float, why: str = "") -> None:
        super().__init__(why or f"again after {after_s} s")
        self.after_s = after_s


class NotInTransaction(Exception):
    """A message belongs to the transaction of its cause: writing one outside of any is a mistake of the caller."""


class HandlerUnknown(Exception):
    """No app has registered a handler for the topic."""
