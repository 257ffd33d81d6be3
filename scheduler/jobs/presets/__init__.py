"""Ready-made jobs, each a versioned file NAME.toml and its script NAME.sh: docs/presets.md says how to write one."""

from functools import cache
from pathlib import Path

from scheduler.jobs.presets.definition import Preset, fields_read, preset_read

_HERE = Path(__file__).parent


@cache
def presets() -> dict[str, Preset]:
    """All presets by name. Read once: they are part of the installed code. Raises PresetInvalid."""
    common = fields_read(_HERE / "common" / "fields.toml")
    return {path.stem: preset_read(path, common) for path in sorted(_HERE.glob("*.toml"))}


def presets_offered(gives: frozenset[str]) -> dict[str, Preset]:
    """Those that a form can fill in which gives `gives`, of what `Preset.needs` names."""
    return {slug: preset for slug, preset in presets().items() if preset.needs <= gives}
