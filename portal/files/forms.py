"""One uploaded PDF in a form.

    report = PdfField(label=_("Final report"))

    form = ReportForm(request.POST, request.FILES, initial={"report": stored})   # stored: StoredFile or None
    form.fields["report"].widget.url = url_of_the_current_file                   # optional: its name becomes a link

A valid form's `cleaned_data["report"]` is an upload (give it to `services.file_store`, whose refusals go beside the
field: `form.add_error("report", error.message)`), the StoredFile that was there, False (take it away), or None. The
form's tag needs enctype="multipart/form-data". One field that sends itself: components/file.html.
"""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.functional import lazy
from django.utils.translation import gettext as _

from portal.files.errors import FileTooLarge
from portal.files.models import StoredFile
from portal.files.units import size_text
from portal.files.uploads import RefusedUpload


class FileWidget(forms.ClearableFileInput):
    """The current file with its size and a way to take it away, then the choice of another.

    In a form with other fields taking away is a switch that counts when the form is sent: a button could be pressed by
    Enter in any of them. In a form of its own (`removes_at_once`) it is a button that sends the form.
    """

    template_name = "components/file_input.html"
    url = ""
    removes_at_once = False

    def __init__(self, *, limit_bytes: int, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"accept": "application/pdf,.pdf", "data-limit-bytes": limit_bytes} | (attrs or {}))
        self.limit_bytes = limit_bytes

    def is_initial(self, value: Any) -> bool:
        return isinstance(value, StoredFile)

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        context["widget"]["attrs"].pop("checked", None)
        context["widget"] |= {
            "url": self.url,
            "removes_at_once": self.removes_at_once,
            "too_large": str(FileTooLarge(self.limit_bytes)),
        }
        return context

    def value_from_datadict(self, data: Mapping[str, Any], files: Mapping[str, Any], name: str) -> Any:
        """A new file replaces the old one, whatever the switch says."""
        return files.get(name) or super().value_from_datadict(data, files, name)  # type: ignore[arg-type]


class PdfField(forms.FileField):
    """Checks what needs no reading: that something came, and its size. The content is `file_store`'s to check."""

    def __init__(self, *, limit_bytes: int | None = None, **options: Any) -> None:
        self.limit_bytes = limit_bytes or settings.FILES_LIMIT_BYTES
        options.setdefault("widget", FileWidget(limit_bytes=self.limit_bytes))
        options.setdefault("help_text", lazy(_limits, str)(self.limit_bytes))
        super().__init__(**options)

    def clean(self, data: Any, initial: Any = None) -> Any:
        if isinstance(data, RefusedUpload):
            raise ValidationError(str(data.error), code=data.error.code)
        cleaned = super().clean(data, initial)
        if getattr(cleaned, "size", 0) > self.limit_bytes:
            raise ValidationError(str(FileTooLarge(self.limit_bytes)), code=FileTooLarge.code)
        return cleaned


def _limits(limit_bytes: int) -> str:
    return _("One PDF of at most %(limit)s, without a password.") % {"limit": size_text(limit_bytes)}
