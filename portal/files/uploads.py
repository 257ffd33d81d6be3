"""Receives uploads, and keeps no more of any file than FILES_LIMIT_BYTES while it comes in.

The rest of a larger one is read and thrown away: the form comes back with everything else that was typed, and says
beside the field what is wrong. (A body above FILES_BODY_LIMIT_BYTES is not read at all: middleware.py.)

What comes in lies in memory, and from FILE_UPLOAD_MAX_MEMORY_SIZE on in a file that has no name: it is gone with the
process, however that ends. From strangers nothing is kept.
"""

import html
import logging
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, cast

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, SkipFile
from django.http.multipartparser import MultiPartParser

from portal.files.errors import FilesError, FileTooLarge, NameInvalid, StorageFailed
from portal.files.names import NAME_IS_A_PATH

logger = logging.getLogger(__name__)


class RefusedUpload(UploadedFile):
    """Stands where a file would: why there is none. The field shows the error, and so does `file_store`."""

    def __init__(self, name: str, size: int, error: FilesError) -> None:
        super().__init__(BytesIO(), name, size=size)
        self.error = error


class LimitedUploadHandler(FileUploadHandler):
    """The one upload handler of the settings. Parses as Django does, with a parser that sees a name as it was sent."""

    def handle_raw_input(
        self, input_data: Any, META: dict[str, Any], content_length: int, boundary: Any, encoding: str | None = None
    ) -> Any:
        return _Parser(META, input_data, _Receiver(self.request), encoding).parse()


class _Receiver(FileUploadHandler):
    """Takes one file after another."""

    is_path = False  # the name that was sent; set by the parser just before the file begins
    error: FilesError | None = None
    # Not called `file`: Django's parser would close that even where there is none.
    _received: Any = None

    def new_file(self, *args: Any, **options: Any) -> None:
        super().new_file(*args, **options)
        self.error = None
        person = getattr(self.request, "user", None)
        if person is not None and not person.is_authenticated:
            raise SkipFile
        if self.is_path:
            self.error = NameInvalid(NAME_IS_A_PATH)
        else:
            self._received = SpooledTemporaryFile(  # noqa: SIM115  the request closes it
                max_size=settings.FILE_UPLOAD_MAX_MEMORY_SIZE, dir=settings.FILE_UPLOAD_TEMP_DIR
            )

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        if self.error is not None:
            return
        if start + len(raw_data) > settings.FILES_LIMIT_BYTES:
            self._refuse(FileTooLarge(settings.FILES_LIMIT_BYTES))
            return
        try:
            self._received.write(raw_data)
        except OSError:
            logger.exception("files: an upload could not be received")
            self._refuse(StorageFailed())

    def file_complete(self, file_size: int) -> UploadedFile:
        name = self.file_name or ""
        if self.error is not None:
            return RefusedUpload(name, file_size, self.error)
        received, self._received = self._received, None
        received.seek(0)
        return UploadedFile(cast(BinaryIO, received), name, self.content_type, file_size, self.charset)

    def upload_interrupted(self) -> None:
        self._close()

    def _refuse(self, error: FilesError) -> None:
        self.error = error
        self._close()

    def _close(self) -> None:
        if self._received is not None:
            self._received.close()
            self._received = None


class _Parser(MultiPartParser):
    """Django's parser cuts a path down to its last part. Here a path is refused, so it must be seen."""

    def __init__(self, meta: dict[str, Any], input_data: Any, receiver: _Receiver, encoding: str | None) -> None:
        super().__init__(meta, input_data, [receiver], encoding)
        self._receiver = receiver

    def sanitize_file_name(self, file_name: str) -> str:
        name = super().sanitize_file_name(file_name)
        self._receiver.is_path = name is None or any(sign in html.unescape(file_name) for sign in "/\\")
        return name or "file"
