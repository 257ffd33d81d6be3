"""Serving a stored file. Whoever calls has fetched the row that refers to it with the person's own permission: there is
no address here that takes a file's id.
"""

from django.http import FileResponse
from django.http.response import HttpResponseBase

from portal.files import disk
from portal.files.errors import FileMissing
from portal.files.models import StoredFile
from portal.files.names import content_disposition


def file_response(stored: StoredFile) -> FileResponse:
    """The file as a download, which no browser opens as a page of ours, and which no shared cache keeps.

    Raises FileMissing where the bytes are gone: a fault of ours, page 500, and `manage.py files_verify` names it.
    """
    try:
        file = disk.path_of(stored.sha256).open("rb")
    except OSError as error:
        raise FileMissing(f"{stored.pk} {stored.sha256}: {error}") from error
    response = FileResponse(file, content_type=stored.content_type)
    only_download(response, stored.name)
    return response


def only_download(response: HttpResponseBase, name: str) -> None:
    """Somebody's file: no browser opens it as a page of ours, whatever is in it, and no shared cache keeps it."""
    response.headers["Content-Disposition"] = content_disposition(name)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "private, no-cache"
