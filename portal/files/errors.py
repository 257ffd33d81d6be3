"""What can be refused about a file. The message belongs beside the field that brought it. Nothing was stored."""

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.files.units import size_text


class FilesError(Exception):
    """A rule of uploads refused it."""

    code = "file"
    message: str | Promise = ""

    def __init__(self, message: str | Promise = "") -> None:
        super().__init__()
        self.message = message or self.message

    def __str__(self) -> str:
        return str(self.message)


class FileTooLarge(FilesError):
    code = "file_too_large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            _("The file is larger than %(limit)s. Reduce the resolution of its pictures, or split it.")
            % {"limit": size_text(limit_bytes)}
        )
        self.limit_bytes = limit_bytes


class FileTypeRefused(FilesError):
    """The content is not of a type that is accepted, whatever the name says, or holds what must not be in it."""

    code = "file_type"


class NameInvalid(FilesError):
    """The name is a path, or nothing readable is left of it."""

    code = "file_name"


class StorageFailed(FilesError):
    """The disk is full or broken. The log has the rest."""

    code = "file_storage"
    message = gettext_lazy("The file could not be stored just now. Nothing was kept of it; try again later.")


class FileMissing(Exception):
    """A stored file's bytes are not where they belong: for the log and `files_verify`, not for a person."""
