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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from django.utils.translation import gettext_lazy as _

from scheduler.jobs.presets import figures as read
from scheduler.jobs.presets.figures import LANGUAGES, PresetInvalid, Texts

__all__ = ["LANGUAGES", "PresetInvalid", "Texts"]

ENVIRONMENTS = ("system", "module", "conda", "apptainer", "enroot")
# What starts a preset's processes: nothing of ours; one launcher on each node, which starts a process for each GPU; a
# single task; a task for each GPU, started by srun itself.
LAUNCHERS = ("none", "torchrun", "accelerate", "task", "srun")
KINDS = ("int", "number", "choice", "name", "names", "path", "hub", "text", "words")
BLOCKS = ("options", "folders", "environment", "launch")
NEEDED = ("workdir", "run_name")  # fields that the block of folders reads
DERIVED = ("exit_minutes",)  # figures that follow from the shape, usable as a field's value is
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
FIELDS_MOST = 60
RESULTS_MOST = 10
SHAPE_MOST = 100_000
TIME_MOST_S = 366 * 86_400
SCRIPT_MOST_BYTES = 65_536

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_ASSIGNED = re.compile(r"([a-z][a-z0-9_]*)=@\{([a-z_0-9]+)\}")
_BLOCK = re.compile(r"@\{([a-z_]+)\}")
_HEAD = re.compile(r"\s*(?:#.*)?")  # what else may stand above the first command
# No “[” and “?”, which would mean something to a pattern; no deeper than the folder is listed.
_RESULT = re.compile(r"(?!\.)[A-Za-z0-9._*-]{1,100}(?:/(?!\.)[A-Za-z0-9._*-]{1,100}){0,3}")
_FIGURES = {
    *("version", "position", "gpus_per_node", "nodes", "time_limit_s", "title", "description", "fields"),
    *("environments", "launcher", "nodes_most", "checkpoint_lead_s", "parallel", "results"),
}
_FIELD = {
    *("name", "kind", "title", "help", "default", "required", "least", "most", "choices", "suggestions", "advanced"),
}


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
class Result:
    """A file that a job leaves in its own folder, and what it is. `path` as it is seen from there; `*` stands for any
    letters of one name."""

    path: str
    title: Texts

    def matches(self, path: Sequence[str]) -> bool:
        wanted = self.path.split("/")
        return len(wanted) == len(path) and all(map(fnmatchcase, path, wanted))


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
    results: tuple[Result, ...] = ()
    edition: int = 0  # which of the centre's own versions it is; 0: as it came with the product
    is_pinned: bool = False  # a copy stands on this version, whatever is offered by now

    @property
    def key(self) -> str:
        """What a form or a job calls it: its short name, and its version where that is not the one on offer."""
        return f"{self.slug}@{self.edition}" if self.is_pinned else self.slug

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
        script = path.with_suffix(".sh").read_text(encoding="utf-8")
        return preset_make(slug, common_added(figures_parse(path.read_text(encoding="utf-8")), common), script)
    except (OSError, UnicodeDecodeError) as error:
        raise PresetInvalid("%(slug)s: %(error)s", slug=slug, error=error) from error
    except PresetInvalid as error:
        raise PresetInvalid("%(slug)s: %(error)s", slug=slug, error=error) from error


def figures_parse(text: str) -> dict[str, Any]:
    """What stands in a NAME.toml. Raises PresetInvalid."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise PresetInvalid(_("This is no TOML: %(error)s"), error=error) from error


def common_added(figures: dict[str, Any], common: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The same, with what the fields that several presets have say beside what stands there."""
    entries = read.tables(figures, "fields", most=FIELDS_MOST)
    names = [entry.get("name") for entry in entries]
    known = [common.get(name, {}) if isinstance(name, str) else {} for name in names]
    return figures | {"fields": [more | entry for more, entry in zip(known, entries, strict=True)]}


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
                raise _of_line(number, _("A placeholder is NAME=@{field} or a line of its own."))
        elif not in_head:
            raise _of_line(number, _("Placeholders stand above the first command."))
        elif assigned:
            yield number, assigned[1], assigned[2]
        elif block:
            yield number, "", block[1]


def preset_make(slug: str, figures: Mapping[str, Any], script: str, *, edition: int = 0) -> Preset:
    """Of what a file says, whoever wrote it. Raises PresetInvalid."""
    read.only(figures, _FIGURES)
    if len(script.encode("utf-8", "surrogatepass")) > SCRIPT_MOST_BYTES:
        raise PresetInvalid(_("The script has more than %(most)d KiB."), most=SCRIPT_MOST_BYTES // 1024)
    preset = Preset(
        slug=slug,
        version=read.whole(figures, "version", least=1),
        position=read.whole(figures, "position", least=0, default=100),
        gpus_per_node=_bounded(figures, "gpus_per_node", SHAPE_MOST),
        nodes=_bounded(figures, "nodes", SHAPE_MOST),
        time_limit_s=_bounded(figures, "time_limit_s", TIME_MOST_S, least=60),
        script=script,
        titles=read.texts(figures, "title"),
        descriptions=read.texts(figures, "description"),
        fields=tuple(map(_field, read.tables(figures, "fields", most=FIELDS_MOST))),
        environments=read.listed(figures, "environments", ENVIRONMENTS) or ("system",),
        launcher=read.chosen(figures, "launcher", LAUNCHERS, "none"),
        nodes_most=_bounded(figures, "nodes_most", SHAPE_MOST, least=0, default=0),
        checkpoint_lead_s=_bounded(figures, "checkpoint_lead_s", TIME_MOST_S, least=0, default=0),
        parallel=read.listed(figures, "parallel"),
        results=tuple(map(_result, read.tables(figures, "results", most=RESULTS_MOST))),
        edition=edition,
    )
    _names_check(preset)
    return preset


def _names_check(preset: Preset) -> None:
    names = [field.name for field in preset.fields]
    if len(set(names)) < len(names):
        raise PresetInvalid(_("Two fields have the same name."))
    used = [name for _line, assigned, name in placeholders(preset.script) if assigned]
    for name in used:
        if name not in names and name not in DERIVED:
            text = _("@{%(name)s} is no field of this preset, nor one of %(derived)s.")
            raise PresetInvalid(text, name=name, derived=", ".join(DERIVED))
    # `restarts` is read by the launch block itself.
    unused = set(names) - set(used) - {"restarts"}
    if unused:
        raise PresetInvalid(_("The script has no placeholder for %(names)s."), names=", ".join(sorted(unused)))
    if ("restarts" in names) != bool(preset.checkpoint_lead_s):
        raise PresetInvalid(
            _("A preset that is told before its time limit (checkpoint_lead_s) has the field restarts, no other has.")
        )
    required = {field.name for field in preset.fields if field.kind == "int" and field.required}
    if not {*preset.parallel, *(["restarts"] if "restarts" in names else [])} <= required:
        raise PresetInvalid(_("restarts, and what “parallel” names, are required fields of the kind int."))
    _blocks_check(preset, set(names))


def _blocks_check(preset: Preset, names: set[str]) -> None:
    blocks = [name for _line, assigned, name in placeholders(preset.script) if not assigned]
    for name in blocks:
        if name not in BLOCKS:
            raise PresetInvalid(_("@{%(name)s} is none of the blocks %(blocks)s."), name=name, blocks=", ".join(BLOCKS))
    if not blocks:
        if preset.environments != ("system",) or preset.launcher != "none" or names:
            raise PresetInvalid(_("A script without blocks knows no environment, no launcher and no fields."))
        return
    # Launching leans on what the others define, in this order.
    if blocks != [*BLOCKS]:
        raise PresetInvalid(_("All blocks, once each and in this order: %(blocks)s."), blocks=", ".join(BLOCKS))
    if not set(NEEDED) <= names:
        raise PresetInvalid(_("A script with blocks has the fields %(names)s."), names=", ".join(NEEDED))
    if preset.launcher == "none":
        raise PresetInvalid(_("A script with blocks has a launcher."))


def _field(entry: dict[str, Any]) -> Field:
    name = entry.get("name", "")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in TAKEN:
        raise PresetInvalid(_("“%(name)s” is no name for a field."), name=str(name)[:60])
    try:
        return _field_of(name, entry)
    except PresetInvalid as error:
        error.where = name
        raise


def _field_of(name: str, entry: dict[str, Any]) -> Field:
    read.only(entry, _FIELD)
    kind = read.chosen(entry, "kind", KINDS)
    least, most = read.number(entry, "least"), read.number(entry, "most")
    choices = read.listed(entry, "choices")
    if (kind == "choice") != bool(choices):
        raise PresetInvalid(_("A field of the kind choice has choices, and nothing else has."))
    if kind in ("int", "number") and (least is None or most is None or least > most):
        raise PresetInvalid(_("A number has “least” and “most”."))
    return Field(
        name=name,
        kind=kind,
        title=read.texts(entry, "title"),
        help=read.texts(entry, "help") if "help" in entry else None,
        default=read.text(entry, "default"),
        required=read.flag(entry, "required"),
        least=least,
        most=most,
        choices=choices,
        suggestions=read.listed(entry, "suggestions"),
        advanced=read.flag(entry, "advanced"),
    )


def _result(entry: dict[str, Any]) -> Result:
    read.only(entry, {"path", "title"})
    path = read.text(entry, "path")
    if not _RESULT.fullmatch(path):
        raise PresetInvalid(_("“%(path)s” is no file below the job's folder."), path=path[:60])
    return Result(path, read.texts(entry, "title"))


def _bounded(figures: Mapping[str, Any], key: str, most: int, *, least: int = 1, default: int | None = None) -> int:
    found = read.whole(figures, key, least=least, default=default)
    if found > most:
        raise PresetInvalid(_("“%(key)s” is at most %(most)d."), key=key, most=most)
    return found


def _of_line(number: int, text: Any) -> PresetInvalid:
    return PresetInvalid(_("Line %(line)d: %(sentence)s"), line=number + 1, sentence=text)
