"""What a file is called when it is downloaded. A name is for people: it is never a path here, and never becomes one."""

import unicodedata
from urllib.parse import quote

from django.utils.translation import gettext_lazy as _

from portal.files.errors import NameInvalid

NAME_IS_A_PATH = _("The file's name is a path. Give it a name without slashes.")
NAME_IS_EMPTY = _("The file's name has no letter or digit. Rename the file.")
LENGTH_LIMIT_BYTES = 200  # in UTF-8: a file system's limit is 255, and browsers add " (1)"
_WINDOWS_REFUSES = str.maketrans('<>:"|?*', "_______")
_ATTR_CHAR = "!#$&+-.^_`|~"  # RFC 5987, beside letters and digits
_NO_MARK = str.maketrans("đĐ", "dD")  # the one Vietnamese letter that does not decompose


def name_clean(name: str, *, suffix: str) -> str:
    """A file's name as people may see it: in Unicode's composed form (NFC), without control, bidirectional and other
    invisible characters, at most 200 bytes long, ending with the suffix of its content.

    Raises NameInvalid for a path, and where no letter, digit or sign is left. Cleaning twice is cleaning once.
    """
    if "/" in name or "\\" in name or "\0" in name:
        raise NameInvalid(NAME_IS_A_PATH)
    visible = (" " if sign.isspace() else sign for sign in name if sign.isspace() or _is_visible(sign))
    text = unicodedata.normalize("NFC", " ".join("".join(visible).translate(_WINDOWS_REFUSES).split())).rstrip(" .")
    stem = text[: -len(suffix)] if text.lower().endswith(suffix) else text
    stem = stem.strip(" .").encode()[: LENGTH_LIMIT_BYTES - len(suffix)].decode(errors="ignore").rstrip(" .")
    if not any(unicodedata.category(sign)[0] in "LNS" for sign in stem):
        raise NameInvalid(NAME_IS_EMPTY)
    return stem + suffix


def _is_visible(sign: str) -> bool:
    """Not a control, format (bidirectional marks are among them), surrogate, private or unassigned character."""
    return unicodedata.category(sign)[0] != "C"


def content_disposition(name: str) -> str:
    """Always a download (RFC 6266): the name in ASCII for old programs, and as it is for all others."""
    bare = unicodedata.normalize("NFKD", name.translate(_NO_MARK))
    plain = "".join(sign for sign in bare if not unicodedata.combining(sign))
    ascii_name = "".join(
        sign if sign.isascii() and sign.isprintable() and sign not in '"\\%' else "_" for sign in plain
    )
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe=_ATTR_CHAR)}"
