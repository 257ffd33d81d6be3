"""Ready-made jobs. Each is a small versioned file NAME.toml (figures, titles) and its script NAME.sh."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.utils.translation import get_language

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Preset:
    slug: str
    version: int
    gpus_per_node: int
    nodes: int
    time_limit_s: int
    script: str
    titles: dict[str, str]
    descriptions: dict[str, str]

    @property
    def title(self) -> str:
        return self.titles.get(get_language() or "", self.titles["en"])

    @property
    def description(self) -> str:
        return self.descriptions.get(get_language() or "", self.descriptions["en"])


@cache
def presets() -> dict[str, Preset]:
    """All presets by name. Read once: they are part of the installed code."""
    return {path.stem: _read(path) for path in sorted(_HERE.glob("*.toml"))}


def _read(path: Path) -> Preset:
    figures = tomllib.loads(path.read_text(encoding="utf-8"))
    return Preset(
        slug=path.stem,
        version=figures["version"],
        gpus_per_node=figures["gpus_per_node"],
        nodes=figures["nodes"],
        time_limit_s=figures["time_limit_s"],
        script=path.with_suffix(".sh").read_text(encoding="utf-8"),
        titles=figures["title"],
        descriptions=figures["description"],
    )
