"""What is offered to everybody, and what operators see of it.

What is offered is asked of the database each time, in one query: a decision counts at once, in every process. Texts
are read only once, because a version never changes.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from typing import TypeVar

from django.db.models import QuerySet
from django.http import Http404
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from portal.people.models import User
from portal.people.rules import Person, is_operator
from scheduler.jobs.library.models import PresetOffer, PresetVersion
from scheduler.jobs.presets import presets
from scheduler.jobs.presets.definition import Preset, PresetInvalid, figures_parse, preset_make
from scheduler.jobs.presets.writing import figures_of, figures_write

_KEY = re.compile(r"([a-z0-9-]{1,30})@(\d{1,6})")
KEPT_PARSED = 256
Row = TypeVar("Row", PresetVersion, PresetOffer)


# ---- what is offered


def presets_offered() -> dict[str, Preset]:
    """All that a job can begin with, by their short names, in the order of a list: of each the version that operators
    offer, else the product's own."""
    found = dict(presets())
    for offer in _offers():
        found.pop(offer.slug, None)
        preset = _offered(offer)
        if preset:
            found[offer.slug] = preset
    return dict(sorted(found.items(), key=lambda pair: (pair[1].position, pair[0])))


def preset_find(key: str) -> Preset | None:
    """What a form or a job calls by `key`: a short name (what is offered under it), or “name@3”, that version, for
    copies that stand on it. None where there is none, or where it was withdrawn.
    """
    pinned = _KEY.fullmatch(key)
    slug = pinned[1] if pinned else key
    offers = list(_offers().filter(slug=slug)) if slug else []
    if offers and offers[0].is_withdrawn:
        return None
    if pinned is None:
        return _offered(offers[0]) if offers else presets().get(slug)
    preset = edition_offered(slug, int(pinned[2]))
    return replace(preset, is_pinned=True) if preset else None


def edition_offered(slug: str, edition: int) -> Preset | None:
    """A version that is or was offered, whatever is offered by now."""
    if not edition:
        return presets().get(slug)
    ever = PresetOffer.objects.filter(slug=slug, version__version=edition).select_related("version").first()
    return preset_parsed(ever.version) if ever and ever.version else None


def preset_made_from(slug: str, edition: int) -> Preset | None:
    """What a job was made from, whatever became of it since."""
    if not edition:
        return presets().get(slug)
    row = PresetVersion.objects.filter(slug=slug, version=edition).first()
    return preset_parsed(row) if row else None


def editions_offered(slug: str) -> list[Preset]:
    """Every version that is or was offered under a name that still is, what is offered now first."""
    now = preset_find(slug)
    if now is None:
        return []
    rows = PresetOffer.objects.filter(slug=slug, version__isnull=False).select_related("version")
    ever = {offer.version.version: offer.version for offer in rows if offer.version}
    found = [preset_parsed(ever[number]) for number in sorted(ever, reverse=True)] + [presets().get(slug)]
    return [now, *(one for one in found if one and one.edition != now.edition)]


def preset_parsed(row: PresetVersion) -> Preset | None:
    """None where it does not hold together (any more)."""
    parsed = _parse(row.slug, row.version, row.definition, row.script)
    return None if isinstance(parsed, PresetInvalid) else parsed


def preset_fault(row: PresetVersion) -> PresetInvalid | None:
    """Why it does not hold together."""
    parsed = _parse(row.slug, row.version, row.definition, row.script)
    return parsed if isinstance(parsed, PresetInvalid) else None


@lru_cache(maxsize=KEPT_PARSED)
def _parse(slug: str, version: int, definition: str, script: str) -> Preset | PresetInvalid:
    try:
        return preset_make(slug, figures_parse(definition), script, edition=version)
    except PresetInvalid as error:
        return error


def _offers() -> QuerySet[PresetOffer]:
    """The last decision about each preset."""
    newest = PresetOffer.objects.order_by("slug", "-number").distinct("slug")
    return newest.select_related("version")


def _offered(offer: PresetOffer) -> Preset | None:
    if offer.is_withdrawn:
        return None
    own = preset_parsed(offer.version) if offer.version else None
    # A version that a newer product cannot read any more: its own takes its place.
    return own or presets().get(offer.slug)


# ---- what operators see


@dataclass(frozen=True)
class Entry:
    """Something that somebody did."""

    at: datetime
    person: User
    text: str | Promise
    version: int | None
    why: str


@dataclass(frozen=True)
class Kept:
    """All that is known of a preset. `versions` and `offers` are the newest first."""

    slug: str
    shipped: Preset | None
    versions: tuple[PresetVersion, ...]
    offers: tuple[PresetOffer, ...]

    @property
    def seen(self) -> int:
        """The number of the last decision."""
        return self.offers[0].number if self.offers else 0

    @property
    def is_withdrawn(self) -> bool:
        return bool(self.offers) and self.offers[0].is_withdrawn

    @property
    def offered(self) -> Preset | None:
        return _offered(self.offers[0]) if self.offers else self.shipped

    @property
    def is_unreadable(self) -> bool:
        """What operators offer cannot be read any more; the product's own is offered in its place, or nothing."""
        version = self.offers[0].version if self.offers else None
        return version is not None and preset_parsed(version) is None

    @property
    def newest(self) -> int:
        return self.versions[0].version if self.versions else 0

    @property
    def title(self) -> str:
        shown = self.offered or next(filter(None, map(preset_parsed, self.versions)), None) or self.shipped
        return shown.title if shown else self.slug

    @property
    def editions(self) -> list[int]:
        """The numbers of all versions, the newest first; 0 is the product's."""
        return [row.version for row in self.versions] + ([0] if self.shipped else [])

    @property
    def history(self) -> list[Entry]:
        entries = [Entry(row.created_at, row.created_by, _("Saved"), row.version, row.why) for row in self.versions]
        for offer in self.offers:
            text = _("Withdrawn") if offer.is_withdrawn else _("Offered")
            edition = None if offer.is_withdrawn else offer.edition
            entries.append(Entry(offer.at, offer.person, text, edition, offer.why))
        return sorted(entries, key=lambda entry: entry.at, reverse=True)

    @property
    def last(self) -> Entry | None:
        return self.history[0] if self.versions or self.offers else None


@dataclass(frozen=True)
class Edition:
    """One version: `row` None is the product's own. `preset` None does not hold together; `fault` says why."""

    slug: str
    number: int
    definition: str
    script: str
    preset: Preset | None
    fault: PresetInvalid | None = None
    row: PresetVersion | None = None


def presets_kept(person: Person) -> list[Kept]:
    """Every preset. For operators; raises Http404 for others."""
    _operator(person)
    rows = _grouped(PresetVersion.objects.select_related("created_by"))
    offers = _grouped(PresetOffer.objects.select_related("version", "person"))
    slugs = dict.fromkeys([*presets(), *rows, *offers])
    found = [Kept(slug, presets().get(slug), rows.get(slug, ()), offers.get(slug, ())) for slug in slugs]
    return sorted(found, key=lambda kept: (kept.offered.position if kept.offered else 10**6, kept.slug))


def preset_kept(person: Person, slug: str) -> Kept:
    """Raises Http404, for everybody but operators too."""
    _operator(person)
    rows = tuple(PresetVersion.objects.filter(slug=slug).select_related("created_by"))
    offers = tuple(PresetOffer.objects.filter(slug=slug).select_related("version", "person"))
    kept = Kept(slug, presets().get(slug), rows, offers)
    if not kept.editions:
        raise Http404
    return kept


def edition_get(kept: Kept, number: int) -> Edition:
    """Raises Http404."""
    if not number and kept.shipped:
        definition = figures_write(figures_of(kept.shipped))
        return Edition(kept.slug, 0, definition, kept.shipped.script, kept.shipped)
    row = next((row for row in kept.versions if row.version == number), None)
    if row is None:
        raise Http404
    return Edition(kept.slug, number, row.definition, row.script, preset_parsed(row), preset_fault(row), row)


def _grouped(rows: Iterable[Row]) -> Mapping[str, tuple[Row, ...]]:
    return {slug: tuple(group) for slug, group in groupby(rows, key=lambda row: row.slug)}


def _operator(person: Person) -> None:
    if not is_operator(person):
        raise Http404
