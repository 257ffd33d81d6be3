"""What a service refuses. `field` names the form field that the message belongs beside; "" belongs to the whole
form.
"""

from django.utils.functional import Promise


class PeopleError(Exception):
    def __init__(self, message: str | Promise, *, field: str = "") -> None:
        super().__init__(str(message))
        self.message = message
        self.field = field


class NotAMember(PeopleError):
    """Only members of the organisation can join its projects."""


class LastManager(PeopleError):
    """An organisation is never left without a manager."""


class SlugTaken(PeopleError):
    """Organisations and projects share one name space: both become Slurm account names."""


class UnixAccountTaken(PeopleError):
    """The name belongs to another person, or did once."""


class UnixAccountRefused(PeopleError):
    """The name is not a POSIX name, or is one of the system's own."""


class EmailTaken(PeopleError):
    """Another person has this e-mail address."""


class NameMissing(PeopleError):
    """A person who is new to the portal is added with a name."""
