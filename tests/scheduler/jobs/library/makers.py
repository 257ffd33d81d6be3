"""Explicit makers for the centre's own presets, through the services."""

from collections.abc import Mapping
from typing import Any

from portal.people.models import User
from scheduler.jobs.library import services
from scheduler.jobs.library.models import PresetVersion
from scheduler.jobs.library.selectors import edition_get, preset_kept
from scheduler.jobs.presets import presets
from scheduler.jobs.presets.writing import figures_of


def saved(
    person: User, slug: str, *, like: str = "", script: str = "", why: str = "Cho học kỳ mới", **figures: Any
) -> PresetVersion:
    """A version of a preset, as the product's own `like` (that of the same name unless said otherwise)."""
    base = presets()[like or slug]
    return services.version_save(
        slug=slug,
        figures=figures_of(base) | figures,
        script=script or base.script,
        made_from=0 if slug in presets() else None,
        why=why,
        person=person,
    )


def offered(person: User, slug: str, number: int, *, why: str = "Đã chạy thử") -> None:
    kept = preset_kept(person, slug)
    services.offer_make(kept=kept, edition=edition_get(kept, number), seen=kept.seen, why=why, person=person)


def withdrawn(person: User, slug: str) -> None:
    kept = preset_kept(person, slug)
    services.offer_withdraw(kept=kept, seen=kept.seen, why="Có lỗi", person=person)


def title(text: str) -> Mapping[str, str]:
    return {"vi": text, "en": f"{text} (en)"}
