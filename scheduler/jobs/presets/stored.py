"""What a form was filled in with, as it is kept with the job: plain JSON, read again when the job is run again."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from scheduler.jobs.presets.render import Filled


@dataclass(frozen=True)
class Stored:
    """As it was kept: the preset may have changed since, or be gone. `version` 0: there was none.
    `edition`: which of the centre's own versions it was; 0: the product's file, of which `version` is the number."""

    version: int = 0
    edition: int = 0
    fields: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)
    partition: str = ""
    data_sets: Sequence[int] = ()


def filled_stored(filled: Filled | None, partition: str, data_sets: Sequence[int] = ()) -> dict[str, Any]:
    """`partition` as it was asked for: "" if the portal chose. `data_sets` of the catalogue, by their numbers."""
    asked: dict[str, Any] = {"partition": partition} if partition else {}
    if data_sets:
        asked["data_sets"] = sorted(data_sets)
    if filled is None:
        return asked
    if filled.preset.edition:
        asked["edition"] = filled.preset.edition
    return asked | {
        "version": filled.preset.version,
        "fields": {name: str(value) for name, value in filled.fields.items()},
        "environment": {name: value for name, value in asdict(filled.environment).items() if value},
        "code": {name: value for name, value in asdict(filled.code).items() if value},
    }


def stored_read(data: Mapping[str, Any]) -> Stored:
    return Stored(**{name: data[name] for name in Stored.__dataclass_fields__ if name in data})
