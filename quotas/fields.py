"""Form fields for what people of the centre type: whole numbers with or without separators, percentages."""

import re
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.formats import number_format
from django.utils.translation import gettext_lazy as _

# Digits alone, or in groups of three: a decimal point is never taken for a separator.
_GROUPED = re.compile(r"\d{1,3}([.,' \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}])\d{3}(\1\d{3})*|\d+")


class WholeNumberInput(forms.TextInput):
    """Shows the number with the language's separators."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"inputmode": "numeric", "autocomplete": "off", **(attrs or {})})

    def format_value(self, value: Any) -> str | None:
        return number_format(value, 0, force_grouping=True) if isinstance(value, int) else super().format_value(value)


class WholeNumberField(forms.IntegerField):
    """A whole number as people write large ones: 5000000000, 5.000.000.000, 5 000 000 000, 5,000,000,000."""

    widget = WholeNumberInput
    default_error_messages = {"invalid": _("Write a whole number.")}

    def to_python(self, value: Any) -> int | None:
        if isinstance(value, str) and (text := value.strip()):
            if not _GROUPED.fullmatch(text) or len(text) > 30:
                raise ValidationError(self.error_messages["invalid"], code="invalid")
            return int(re.sub(r"\D", "", text))
        return super().to_python(value)

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {}  # min and max belong to a number input


class PercentField(forms.DecimalField):
    """A percentage with at most two decimals; in Python basis points."""

    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=0, max_value=100, decimal_places=2, **options)

    def clean(self, value: Any) -> Any:
        percent = super().clean(value)
        return None if percent is None else int(percent * 100)

    def prepare_value(self, value: Any) -> Any:
        # Bound data is a person's text; an initial value is basis points.
        if not isinstance(value, int):
            return value
        percent = Decimal(value) / 100
        return f"{percent.normalize():f}"

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.prepare_value(initial) != data)
