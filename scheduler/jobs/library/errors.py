class LibraryError(Exception):
    """A rule of presets refused it; nothing was written. `str(error)` is a sentence for the field `field`."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class BrokenPreset(LibraryError):
    """It has faults, and so cannot be offered."""


class MovedOn(LibraryError):
    """Somebody else decided meanwhile."""
