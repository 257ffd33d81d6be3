"""The estimator's form. It reads numbers as people write them; what they may be is the service's to say."""

import re
from decimal import Decimal
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from quotas.estimator.methods import Method
from quotas.estimator.numbers import LONGEST, canonical, read, shortest, spell, whole
from quotas.estimator.peaks import GPUS, PRECISIONS
from quotas.estimator.services import SEQUENCE_LENGTH
from quotas.estimator.shapes import MODELS

# What the page begins with: a Vietnamese model of the size planned for 2027, at twenty tokens a parameter
# (Hoffmann et al., arXiv:2203.15556).
BEGINNING = {
    "method": Method.PRETRAIN.value,
    "model": "",
    "parameters": "30e9",
    "tokens": "600e9",
    "gpu_type": "h100",
    "precision": "bf16",
    "utilisation": "38",
    "sequence_length": str(SEQUENCE_LENGTH),
}
EXAMPLES: tuple[tuple[Any, dict[str, str]], ...] = (  # label, what differs from the beginning
    (_("A Vietnamese model of 30 billion parameters"), {}),
    (_("Llama 3.1 405B, as published"), {"parameters": "405e9", "tokens": "15600e9"}),
    (
        _("Teach Llama 3.1 8B more Vietnamese"),
        {"method": "finetune", "model": "llama-3.1-8b", "parameters": "", "tokens": "50e9"},
    ),
    (
        _("LoRA on Qwen2.5 7B"),
        {"method": "lora", "model": "qwen2.5-7b", "parameters": "", "tokens": "100e6", "sequence_length": "4096"},
    ),
)


class NumberField(forms.Field):
    """A number as people write it, in the active language."""

    default_error_messages = {"invalid": _("Write a number, such as %(example)s.")}

    def __init__(self, *, example: Any, **options: Any) -> None:
        self.example = example
        attrs = {"autocomplete": "off", "spellcheck": "false", "maxlength": LONGEST}
        super().__init__(widget=forms.TextInput(attrs=attrs), **options)

    def to_python(self, value: Any) -> Any:
        text = str(value or "").strip()
        if not text:
            return None
        try:
            return self.read(text)
        except ValueError as error:
            raise forms.ValidationError(
                self.error_messages["invalid"], code="invalid", params={"example": self.example}
            ) from error

    def read(self, text: str) -> Decimal:
        return read(text)

    def spell(self, number: int | Decimal) -> str:
        """As `read` would read it back, for the box of the form."""
        return spell(int(number))

    def canonical(self, number: int | Decimal) -> str:
        return canonical(number)


class ShareField(NumberField):
    """A share in percent: 38, 38% or 0.38. Below 1 and without a percent sign it is the share itself."""

    def read(self, text: str) -> Decimal:
        number = read(text.removesuffix("%").rstrip())
        return number if number < 1 and not text.endswith("%") else number / 100

    def spell(self, number: int | Decimal) -> str:
        return f"{shortest(Decimal(number) * 100)}%"

    def canonical(self, number: int | Decimal) -> str:
        percents = Decimal(number) * 100
        return canonical(percents.normalize() if percents >= 1 else Decimal(number).normalize())


class LengthField(NumberField):
    """Tokens, in digits: "8K" is 8,192 to one reader and 8,000 to another."""

    def read(self, text: str) -> Decimal:
        if re.search(r"[^0-9.,e\s-]", text.lower()):
            raise ValueError(f"{text!r} is not in digits")
        return read(text)

    def spell(self, number: int | Decimal) -> str:
        return whole(int(number))


def _model_choices() -> list[tuple[str, Any]]:
    return [("", _("None of these: by number of parameters")), *((model.slug, model.name) for model in MODELS)]


class EstimateForm(forms.Form):
    method = forms.ChoiceField(label=_("What is computed"), choices=Method.choices)
    model = forms.ChoiceField(label=_("Published model"), required=False, choices=_model_choices)
    parameters = NumberField(
        label=_("Parameters"), required=False, example=_("7B or 405 billion"), help_text=_("7B, 30 billion, 405e9")
    )
    tokens = NumberField(
        label=_("Tokens"), example=_("15.6T or 600 billion"), help_text=_("In training, count every epoch: 600B, 15.6T")
    )
    gpu_type = forms.ChoiceField(label=_("GPU type"), choices=[(gpu.type, gpu.name) for gpu in GPUS.values()])
    precision = forms.ChoiceField(label=_("Precision"), choices=[(name, name.upper()) for name in PRECISIONS])
    utilisation = ShareField(label=_("Utilisation"), example="38%", help_text=_("Llama 3.1 405B: 38–43% of the peak"))
    sequence_length = LengthField(label=_("Sequence length"), example="8192", help_text=_("In tokens"))

    def __init__(self, data: QueryDict) -> None:
        """Fields that the address leaves out get the beginning's, but a model's own parameters stay the model's."""
        given = {name: data[name] for name in self.base_fields if name in data}
        beginning = BEGINNING | ({"parameters": ""} if given.get("model") else {})
        super().__init__(beginning | given)
        for name in self.fields:
            self.fields[name].widget.attrs["aria-describedby"] = f"id_{name}_said" + (
                f" id_{name}_helptext" if self.fields[name].help_text else ""
            )

    def inputs(self) -> dict[str, Any]:
        """Of a valid form, for the service. Beside a model the box of parameters is hidden and does not count."""
        data = dict(self.cleaned_data)
        return data | {"parameters": None} if data["model"] else data

    def canonical(self) -> dict[str, str]:
        """Of a valid form, for an address: the same for every language, whatever was typed."""
        texts = {}
        for name, value in self.inputs().items():
            field = self.fields[name]
            if value not in (None, ""):
                texts[name] = field.canonical(value) if isinstance(field, NumberField) else value
        return texts

    def spell(self) -> None:
        """Puts the numbers into their boxes as the reader's language writes them."""
        texts = {}
        for name, value in self.cleaned_data.items():
            field = self.fields[name]
            if isinstance(field, NumberField) and value is not None and name not in self.errors:
                texts[name] = field.spell(value)
        self.data = {**self.data, **texts}
