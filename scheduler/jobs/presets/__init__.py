"""Ready-made jobs, each a versioned file NAME.toml and its script NAME.sh: docs/presets.md says how to write one.

These came with the product. What is offered is for operators to say (`scheduler.jobs.library`).
"""

from functools import cache
from pathlib import Path
from typing import Any

from scheduler.jobs.presets.definition import Preset, fields_read, preset_read

_HERE = Path(__file__).parent


@cache
def presets() -> dict[str, Preset]:
    """All by name, in the order of a list. Read once: they are part of the installed code. Raises PresetInvalid."""
    found = [preset_read(path, common_fields()) for path in _HERE.glob("*.toml")]
    return {preset.slug: preset for preset in sorted(found, key=lambda one: (one.position, one.slug))}


@cache
def common_fields() -> dict[str, dict[str, Any]]:
    """Fields that several presets have, by name, as a file says them."""
    return fields_read(_HERE / "common" / "fields.toml")
