"""What a preset is: a versioned file NAME.toml (figures, fields, texts) and its script NAME.sh.

The script is plain bash. Placeholders stand only in its head, above the first command, and only in two forms:

    NAME=@{field}    the whole right side of an assignment; becomes one shell word, or an array of words
    @{block}         a line of its own; becomes lines that the renderer writes from shape and environment

So no value ever stands inside quotes, a here-document or a command, whatever the author of a preset does below. Every
name is looked up when the file is read: an unknown one, a field that is never used, a text without its Vietnamese is an
error at once, not in somebody's job.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from django.utils.translation import get_language

ENVIRONMENTS = ("system", "module", "conda", "apptainer", "enroot")
# What starts a preset's processes: nothing of ours; one launcher on each node, which starts a process for each GPU; a
# single task; a task for each GPU, started by srun itself.
LAUNCHERS = ("none", "torchrun", "accelerate", "task", "srun")
KINDS = ("int", "number", "choice", "name", "names", "path", "hub", "text", "words")
BLOCKS = ("options", "folders", "environment", "launch")
NEEDED = ("workdir", "run_name")  # fields that the block of folders reads
DERIVED = ("exit_minutes",)  # figures that follow from the shape, usable as a field's value is
LANGUAGES = ("en", "vi")
# Names of the form's own fields: a preset's field beside them would get their errors.
TAKEN = frozenset(
    [
        *["project", "allocation", "name", "nodes", "gpus_per_node", "time_limit", "script", "preset", "key"],
        *["line_end", "environment", "modules", "conda", "conda_base", "image", "mounts", *BLOCKS, *DERIVED],
        *["mode", "partition", "cpus_per_node", "reservation", "code", "repository", "revision"],
        *["fix", "save_as", "csrfmiddlewaretoken"],
        *["array", "after", "after_kind", "unsatisfied", "checkpoint_lead", "data_sets"],
    ]
)

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_ASSIGNED = re.compile(r"([a-z][a-z0-9_]*)=@\{([a-z_0-9]+)\}")
_BLOCK = re.compile(r"@\{([a-z_]+)\}")
_HEAD = re.compile(r"\s*(?:#.*)?")  # what else may stand above the first command


class PresetInvalid(Exception):
    """The files of a preset contradict themselves. For its author: names file and fault."""


@dataclass(frozen=True)
class Texts:
    """One text in each language of the portal."""

    by_language: Mapping[str, str]

    def __str__(self) -> str:
        return self.by_language.get(get_language() or "", self.by_language["en"])


@dataclass(frozen=True)
class Field:
    """One thing that a person fills in. `least` and `most` bound numbers, `choices` a choice; `suggestions` are only
    offered. An empty value of a field that is not required is an empty word (or no words). `advanced`: a form that is
    set to simple does not show it."""

    name: str
    kind: str
    title: Texts
    help: Texts | None
    default: str
    required: bool
    least: float | None
    most: float | None
    choices: tuple[str, ...]
    suggestions: tuple[str, ...]
    advanced: bool


@dataclass(frozen=True)
class Preset:
    """`position` orders the list. `time_limit_s` and the shape are where a form begins. `nodes_most`: 0 is no limit.
    `checkpoint_lead_s`: how long before its time limit the job is told to save its state; 0: it cannot resume.
    `parallel`: fields whose product must divide the number of GPUs.
    """

    slug: str
    version: int
    position: int
    gpus_per_node: int
    nodes: int
    time_limit_s: int
    script: str
    titles: Texts
    descriptions: Texts
    fields: tuple[Field, ...]
    environments: tuple[str, ...]
    launcher: str
    nodes_most: int
    checkpoint_lead_s: int
    parallel: tuple[str, ...]

    @property
    def title(self) -> str:
        return str(self.titles)

    @property
    def description(self) -> str:
        return str(self.descriptions)

    @cached_property
    def cut(self) -> int:
        """How many of the script's first lines are the form's to write: those down to the last placeholder."""
        return 1 + max((number for number, _assigned, _name in placeholders(self.script)), default=0)

    @property
    def start(self) -> str:
        """What a person begins with and may change: the shebang, and what stands below the form's lines."""
        lines = self.script.split("\n")
        return "\n".join([lines[0], *lines[self.cut :]])

    @property
    def has_blocks(self) -> bool:
        """Whether it knows environments and code; a script without blocks is ready as it is."""
        return self.cut > 1


def preset_read(path: Path, common: Mapping[str, dict[str, Any]]) -> Preset:
    """The preset in NAME.toml and NAME.sh beside it. A field of it that is in `common` says only what is different
    there. Raises PresetInvalid.
    """
    slug = path.stem
    try:
        figures = tomllib.loads(path.read_text(encoding="utf-8"))
        script = path.with_suffix(".sh").read_text(encoding="utf-8")
        figures["fields"] = [common.get(entry.get("name"), {}) | entry for entry in figures.get("fields", [])]
        return _preset(slug, figures, script)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PresetInvalid(f"{slug}: {error}") from error
    except PresetInvalid as error:
        raise PresetInvalid(f"{slug}: {error}") from error


def fields_read(path: Path) -> dict[str, dict[str, Any]]:
    """Fields that several presets have, by name."""
    return {name: {"name": name, **entry} for name, entry in tomllib.loads(path.read_text(encoding="utf-8")).items()}


def placeholders(script: str) -> Iterator[tuple[int, str, str]]:
    """Line number from 0, the variable assigned ("" for a block), the placeholder's name. Raises PresetInvalid."""
    in_head = True
    for number, line in enumerate(script.split("\n")):
        assigned, block = _ASSIGNED.fullmatch(line), _BLOCK.fullmatch(line)
        if not (assigned or block):
            in_head = in_head and bool(_HEAD.fullmatch(line))
            if "@{" in line:
                raise PresetInvalid(f"line {number + 1}: a placeholder is NAME=@{{field}} or a line of its own")
        elif not in_head:
            raise PresetInvalid(f"line {number + 1}: placeholders stand above the first command")
        elif assigned:
            yield number, assigned[1], assigned[2]
        elif block:
            yield number, "", block[1]


def _preset(slug: str, figures: dict[str, Any], script: str) -> Preset:
    known = {
        "version",
        "position",
        "gpus_per_node",
        "nodes",
        "time_limit_s",
        "title",
        "description",
        "fields",
        "environments",
    }
    known |= {"launcher", "nodes_most", "checkpoint_lead_s", "parallel"}
    _only(figures, known, "the file")
    preset = Preset(
        slug=slug,
        version=_whole(figures, "version", least=1),
        position=_whole(figures, "position", least=0, default=100),
        gpus_per_node=_whole(figures, "gpus_per_node", least=1),
        nodes=_whole(figures, "nodes", least=1),
        time_limit_s=_whole(figures, "time_limit_s", least=60),
        script=script,
        titles=_texts(figures, "title"),
        descriptions=_texts(figures, "description"),
        fields=tuple(_field(entry) for entry in figures.get("fields", [])),
        environments=_listed(figures, "environments", ENVIRONMENTS) or ("system",),
        launcher=figures.get("launcher", "none"),
        nodes_most=_whole(figures, "nodes_most", least=0, default=0),
        checkpoint_lead_s=_whole(figures, "checkpoint_lead_s", least=0, default=0),
        parallel=tuple(figures.get("parallel", ())),
    )
    if preset.launcher not in LAUNCHERS:
        raise PresetInvalid(f"launcher {preset.launcher!r} is none of {', '.join(LAUNCHERS)}")
    _names_check(preset)
    return preset


def _names_check(preset: Preset) -> None:
    names = [field.name for field in preset.fields]
    if len(set(names)) < len(names):
        raise PresetInvalid("two fields have the same name")
    used = [name for _line, assigned, name in placeholders(preset.script) if assigned]
    for name in used:
        if name not in names and name not in DERIVED:
            raise PresetInvalid(f"@{{{name}}} is no field of this preset, nor one of {', '.join(DERIVED)}")
    # `restarts` is read by the launch block itself.
    unused = set(names) - set(used) - {"restarts"}
    if unused:
        raise PresetInvalid(f"no placeholder for the field {', '.join(sorted(unused))}")
    if ("restarts" in names) != bool(preset.checkpoint_lead_s):
        raise PresetInvalid("a preset with checkpoint_lead_s has the field restarts, and no other has")
    required = {field.name for field in preset.fields if field.kind == "int" and field.required}
    if not {*preset.parallel, *(["restarts"] if "restarts" in names else [])} <= required:
        raise PresetInvalid("restarts, and what parallel names, are required fields of kind int")
    _blocks_check(preset, set(names))


def _blocks_check(preset: Preset, names: set[str]) -> None:
    blocks = [name for _line, assigned, name in placeholders(preset.script) if not assigned]
    for name in blocks:
        if name not in BLOCKS:
            raise PresetInvalid(f"@{{{name}}} is none of the blocks {', '.join(BLOCKS)}")
    if not blocks:
        if preset.environments != ("system",) or preset.launcher != "none" or names:
            raise PresetInvalid("a script without blocks knows no environment, no launcher and no fields")
        return
    # Launching leans on what the others define, in this order.
    if blocks != [*BLOCKS]:
        raise PresetInvalid(f"all blocks, once each and in this order: {', '.join(BLOCKS)}")
    if not set(NEEDED) <= names:
        raise PresetInvalid(f"a script with blocks has the fields {', '.join(NEEDED)}")
    if preset.launcher == "none":
        raise PresetInvalid("a script with blocks has a launcher")


def _field(entry: dict[str, Any]) -> Field:
    name = entry.get("name", "")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in TAKEN:
        raise PresetInvalid(f"{name!r} is no name for a field")
    known = {"name", "kind", "title", "help", "default", "required", "least", "most", "choices", "suggestions"}
    known |= {"advanced"}
    _only(entry, known, f"field {name}")
    if entry.get("kind") not in KINDS:
        raise PresetInvalid(f"field {name}: kind is one of {', '.join(KINDS)}")
    if (entry["kind"] == "choice") != bool(entry.get("choices")):
        raise PresetInvalid(f"field {name}: a choice has choices, and nothing else has")
    if entry["kind"] in ("int", "number") and not {"least", "most"} <= entry.keys():
        raise PresetInvalid(f"field {name}: a number has least and most")
    return Field(
        name=name,
        kind=entry["kind"],
        title=_texts(entry, "title"),
        help=_texts(entry, "help") if "help" in entry else None,
        default=str(entry.get("default", "")),
        required=bool(entry.get("required", False)),
        least=entry.get("least"),
        most=entry.get("most"),
        choices=tuple(entry.get("choices", ())),
        suggestions=tuple(entry.get("suggestions", ())),
        advanced=bool(entry.get("advanced", False)),
    )


def _texts(entry: dict[str, Any], key: str) -> Texts:
    texts = entry.get(key)
    if not isinstance(texts, dict) or set(texts) != set(LANGUAGES) or not all(texts.values()):
        raise PresetInvalid(f"{key} is a text in each of {', '.join(LANGUAGES)}")
    return Texts(texts)


def _whole(figures: dict[str, Any], key: str, *, least: int, default: int | None = None) -> int:
    value = figures.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise PresetInvalid(f"{key} is a whole number, at least {least}")
    return value


def _listed(figures: dict[str, Any], key: str, known: tuple[str, ...]) -> tuple[str, ...]:
    values = tuple(figures.get(key, ()))
    if len(set(values)) < len(values) or not set(values) <= set(known):
        raise PresetInvalid(f"{key} are some of {', '.join(known)}")
    return values


def _only(entry: dict[str, Any], known: set[str], where: str) -> None:
    if set(entry) - known:
        raise PresetInvalid(f"{where}: unknown: {', '.join(sorted(set(entry) - known))}")
