"""What operators do with presets: write a version, offer one, withdraw. Nobody else calls these (the views' fetch)."""

import re
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from portal.clock import now
from portal.people.models import User
from scheduler.jobs.library.checking import preset_faults
from scheduler.jobs.library.errors import BrokenPreset, LibraryError, MovedOn
from scheduler.jobs.library.models import PresetOffer, PresetVersion
from scheduler.jobs.library.selectors import Edition, Kept
from scheduler.jobs.presets import presets
from scheduler.jobs.presets.definition import SCRIPT_MOST_BYTES
from scheduler.jobs.presets.writing import figures_tidy, figures_write

VERSIONS_MOST = 999
DEFINITION_MOST_BYTES = 262_144
# “name@3” stands in a column of 40. No address of these pages is a name.
_SLUG = re.compile(r"[a-z][a-z0-9-]{1,28}[a-z0-9]")
RESERVED = frozenset(["new", "import", "check"])


def slug_check(slug: str) -> None:
    """Raises LibraryError."""
    if not _SLUG.fullmatch(slug) or slug in RESERVED:
        text = _("3 to 30 small letters, digits and “-”, beginning with a letter.")
        raise LibraryError(text, field="slug")


def version_save(
    *, slug: str, figures: Mapping[str, Any], script: str, made_from: int | None, why: str, person: User
) -> PresetVersion:
    """The next version of a preset, or the first of a new one; nobody is offered it yet. It may be unfinished.

    `figures` as a file says them; the version among them is set here. `made_from`: the version that was edited.
    Raises LibraryError.
    """
    slug_check(slug)
    script = script.replace("\r\n", "\n").rstrip("\n") + "\n"
    with transaction.atomic():
        last = PresetVersion.objects.filter(slug=slug).aggregate(last=Max("version"))["last"] or 0
        if last >= VERSIONS_MOST:
            raise LibraryError(_("There are too many versions of it. Begin a new preset from it."))
        definition = figures_write(figures_tidy({**figures, "version": last + 1}))
        if len(script.encode()) > SCRIPT_MOST_BYTES or len(definition.encode()) > DEFINITION_MOST_BYTES:
            said = {"most": SCRIPT_MOST_BYTES // 1024}
            raise LibraryError(_("It is too long: the script has at most %(most)d KiB.") % said, field="script")
        try:
            with transaction.atomic():
                return PresetVersion.objects.create(
                    slug=slug,
                    version=last + 1,
                    definition=definition,
                    script=script,
                    made_from=made_from,
                    why=why,
                    created_by=person,
                    created_at=now(),
                )
        except IntegrityError as error:
            raise MovedOn(_("Somebody else saved a version at the same moment. Save again.")) from error


def offer_make(*, kept: Kept, edition: Edition, seen: int, why: str, person: User) -> PresetOffer:
    """From now on jobs begin with this version. `seen`: the number of the last decision that the person saw.

    Raises BrokenPreset, MovedOn.
    """
    if edition.preset is None:
        raise BrokenPreset(_("It does not hold together: %(fault)s") % {"fault": edition.fault})
    if edition.number and (faults := preset_faults(edition.preset)):
        raise BrokenPreset(_("It has faults: %(fault)s") % {"fault": faults[0].text})
    if kept.offered and kept.offered.edition == edition.number and not kept.is_unreadable:
        raise LibraryError(_("It is what is offered."))
    return _decide(kept.slug, seen, why, person, version=edition.row)


def offer_withdraw(*, kept: Kept, seen: int, why: str, person: User) -> PresetOffer:
    """From now on nobody is offered the preset, in no version. Raises LibraryError, MovedOn."""
    if kept.offered is None:
        raise LibraryError(_("It is not offered."))
    return _decide(kept.slug, seen, why, person, is_withdrawn=True)


def _decide(slug: str, seen: int, why: str, person: User, **what: Any) -> PresetOffer:
    last = PresetOffer.objects.filter(slug=slug).aggregate(last=Max("number"))["last"] or 0
    try:
        if last != seen:
            raise IntegrityError
        with transaction.atomic():
            return PresetOffer.objects.create(slug=slug, number=seen + 1, why=why, person=person, at=now(), **what)
    except IntegrityError as error:
        raise MovedOn(_("Somebody else decided about it meanwhile. Look at it again.")) from error


def is_new(slug: str) -> bool:
    return slug not in presets() and not PresetVersion.objects.filter(slug=slug).exists()
