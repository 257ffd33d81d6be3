"""The results that a job's preset names, found in what lies in the job's folder."""

from dataclasses import dataclass

from scheduler.jobs.library.selectors import preset_made_from
from scheduler.jobs.models import Job
from scheduler.jobs.output.shown import EntryShown, ListingShown
from scheduler.jobs.presets.definition import Result

FILES_OF_ONE = 5  # a pattern may mean many: the newest


@dataclass(frozen=True)
class ResultShown:
    """`place`: where it lies if not in the job's own folder."""

    title: str
    entries: tuple[EntryShown, ...] = ()
    place: str = ""


def results_shown(job: Job, listing: ListingShown) -> list[ResultShown]:
    """In the order of the preset; empty where it names none, or where nobody knows yet what lies in the folder."""
    if not job.preset or listing.is_coming or not (listing.entries or job.filled.get("version")):
        return []
    preset = preset_made_from(job.preset_name, job.preset_edition)
    if preset is None:
        return []
    # Results that were given a name go to the project's folder, which only a shell on the cluster lists.
    named = job.filled.get("fields", {}).get("run_name", "")
    place = f"{job.project.slug}/runs/{named}" if named else ""
    return [ResultShown(str(one.title), () if place else _newest(one, listing), place) for one in preset.results]


def _newest(result: Result, listing: ListingShown) -> tuple[EntryShown, ...]:
    found = [entry for entry in listing.entries if entry.kind == "file" and result.matches(entry.path)]
    return tuple(sorted(found, key=lambda entry: entry.changed_at, reverse=True)[:FILES_OF_ONE])
