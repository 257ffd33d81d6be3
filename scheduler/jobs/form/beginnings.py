"""How the form begins, and what one click changes in it: a preset, a fix, a job that is run again, as it was or in the
size that was enough.

A person's own lines of the script are never lost by choosing something: only lines that nobody changed are replaced.
"""

from typing import Any
from uuid import uuid4

from django.http import QueryDict

from scheduler.jobs.durations import duration_input
from scheduler.jobs.form.forms import PROBE, script_typed
from scheduler.jobs.form.preset_fields import place_defaults, place_typed
from scheduler.jobs.library.selectors import preset_find, presets_offered
from scheduler.jobs.models import Job, ProjectPreset
from scheduler.jobs.output.asking import measured_of
from scheduler.jobs.output.efficiency import efficiency_of
from scheduler.jobs.output.rightsize import right_sized
from scheduler.jobs.presets.definition import Preset
from scheduler.jobs.presets.stored import stored_read
from scheduler.jobs.script import block_opened, strip_block

SKELETON = "#!/bin/bash\n# Your commands. srun starts a task on every node.\nsrun hostname\n"
# What a one-click fix may set.
FIXABLE = ("gpus_per_node", "nodes", "time_limit", "allocation", "partition", "cpus_per_node", "reservation", "mode")


def initial_of(
    *, preset: str, allocation: str, again: Job | None = None, saved: ProjectPreset | None = None
) -> dict[str, Any]:
    """How the form begins: as a preset, a project's own among them, as a job that is run again, or with a skeleton."""
    begin: dict[str, Any] = {"key": str(uuid4()), "line_end": PROBE, "mode": "simple", "allocation": allocation}
    if again is not None:
        return begin | {"allocation": str(again.allocation_id), "name": again.name} | _as_kept(again)
    if saved is not None:
        return begin | {"name": saved.title, "save_as": saved.title} | _as_kept(saved)
    known = preset_find(preset)
    if known is None:
        return begin | {"name": "", "gpus_per_node": 1, "nodes": 1, "time_limit": "1h", "script": SKELETON}
    return begin | _preset_values(known) | {"name": known.slug, "script": known.start}


def sized(job: Job, begin: dict[str, Any]) -> dict[str, Any]:
    """The same job with a size that would have been enough; "sized" says what was changed, and why."""
    if job.is_open:
        return begin
    measured, _is_coming = measured_of(job)
    changes = right_sized(job, efficiency_of(job, measured), measured)
    return begin | {change.field: change.value for change in changes} | {"sized": changes}


def changed(data: QueryDict, rendered: str, fix: str) -> dict[str, Any]:
    """The form's data after one click: `nodes=1`, `preset=NAME`, `script=` (the preset's lines again), `own=` (what the
    preset wrote becomes the person's own lines). Anything else changes nothing. `rendered`: the script as the form
    would write it, "" where it cannot."""
    new: dict[str, Any] = data.dict() | {"script": rendered or script_typed(data), "line_end": PROBE}
    field, _equals, value = fix.partition("=")
    preset = preset_find(new.get("preset", ""))
    if field == "preset":
        new |= _chosen(new, preset, preset_find(value))
    elif field == "script":
        new["script"] = preset.start if preset else SKELETON
    elif field == "own":
        new |= {"preset": "", "script": block_opened(new["script"])}
    elif field in FIXABLE:
        new[field] = value
        if field == "allocation":
            new["partition"] = ""  # another one may have other partitions
    return new


def _as_kept(kept: Job | ProjectPreset) -> dict[str, Any]:
    stored, preset = stored_read(kept.filled), preset_find(kept.preset)
    values: dict[str, Any] = {
        "gpus_per_node": max(kept.gpus_per_node, 1),
        "cpus_per_node": (kept.cpus_per_node if isinstance(kept, Job) else 0) or "",
        "nodes": kept.nodes,
        "time_limit": duration_input(kept.time_limit_s),
        "partition": stored.partition,
        "data_sets": list(stored.data_sets),
        "script": kept.script,
    }
    if preset is None or (preset.has_blocks and not stored.version):
        # What wrote the block is not there any more, so its lines are the person's now.
        return values | {"script": block_opened(kept.script)}
    known = {one.name for one in preset.fields}
    fields = {name: value for name, value in stored.fields.items() if name in known}
    places = place_typed(stored) if preset.has_blocks else {}
    made_from = (stored.version, stored.edition)
    changed_since = bool(stored.version) and made_from != (preset.version, preset.edition)
    return values | fields | places | {"preset": preset.key, "preset_changed": changed_since}


def _chosen(data: dict[str, Any], old: Preset | None, preset: Preset | None) -> dict[str, Any]:
    own = strip_block(data["script"]).strip()
    untouched = own in ("", SKELETON.strip(), *(one.start.strip() for one in _known(old, preset)))
    named = data.get("name", "").strip() not in ("", old.slug if old else "")
    if preset is None:
        script = SKELETON if untouched else block_opened(data["script"])
        return {"preset": "", "script": script} | ({} if named else {"name": ""})
    values = _preset_values(preset)
    if old:
        # What the person typed stays; what was only the other preset's default does not.
        defaults = {one.name: one.default for one in old.fields} | place_defaults(old)
        typed = {name for name in values if name in defaults and data.get(name, defaults[name]) != defaults[name]}
        values = {name: value for name, value in values.items() if name not in typed}
    if untouched:
        values["script"] = preset.start
    return values | ({} if named else {"name": preset.slug})


def _known(*chosen: Preset | None) -> list[Preset]:
    return [*presets_offered().values(), *filter(None, chosen)]


def _preset_values(preset: Preset) -> dict[str, Any]:
    fields = {one.name: one.default for one in preset.fields}
    return {
        "preset": preset.key,
        "gpus_per_node": preset.gpus_per_node,
        "nodes": preset.nodes,
        "time_limit": duration_input(preset.time_limit_s),
        **fields,
        **(place_defaults(preset) if preset.has_blocks else {}),
    }
