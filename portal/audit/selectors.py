"""The history of every tracked model as one list, newest first.

Each model has its own table of events. A page takes its share of each, in the order of their index, and merges them:
the cost is that of a page, however long the history is.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import Any

from django.apps import apps
from django.db.models import Model, OuterRef, Q, QuerySet, Subquery
from django.http import Http404

from portal.clock import centre_zone
from portal.people.models import User
from portal.people.rules import Person, reads_everything

EVENTS_A_PAGE = 50


@dataclass(frozen=True)
class Change:
    field: str
    before: str
    after: str


@dataclass(frozen=True)
class Event:
    at: datetime
    label: str  # created, changed, deleted
    model: str  # app.model
    model_name: str
    object_id: str
    actor: User | None
    process: str
    why: str
    url: str
    changes: list[Change]
    cursor: str


@dataclass(frozen=True)
class Filters:
    model: str = ""
    object_id: str = ""
    actor_id: int | None = None
    label: str = ""
    since: date | None = None  # centre's days, both inclusive
    until: date | None = None
    before: str = ""  # cursor of the last event of the page above


@dataclass(frozen=True)
class Table:
    """The events of one model."""

    events: Any  # the event model that pghistory made
    followed: type[Model]


def tracked_models() -> dict[str, Table]:
    """Event tables by the label of the model that they follow, e.g. "people.user"."""
    tables = {}
    for model in apps.get_models():
        followed = getattr(model, "pgh_tracked_model", None)
        if followed is not None and any(field.name == "pgh_context_id" for field in model._meta.fields):
            tables[followed._meta.label_lower] = Table(model, followed)
    return tables


def event_page(person: Person, filters: Filters) -> tuple[list[Event], str]:
    """A page of events, and the cursor of the next one ("" at the end).

    For operators, approvers and auditors. Raises Http404 for others, and for a cursor that is none.
    """
    if not reads_everything(person):
        raise Http404
    tables = tracked_models()
    chosen = {label: table for label, table in tables.items() if filters.model in ("", label)}
    rows = list(
        islice(
            heapq.merge(
                *(_share(table.events, label, filters) for label, table in chosen.items()),
                key=lambda row: row[:3],
                reverse=True,
            ),
            EVENTS_A_PAGE + 1,
        )
    )
    page = rows[:EVENTS_A_PAGE]
    cursor = _cursor(page[-1]) if len(rows) > EVENTS_A_PAGE else ""
    return _described(page, chosen), cursor


Row = tuple[datetime, str, int, Any]  # when, model label, pgh_id, event


def _share(model: Any, label: str, filters: Filters) -> Iterable[Row]:
    events: QuerySet[Any] = model.objects.order_by("-pgh_created_at", "-pgh_id")
    if filters.object_id:
        events = events.filter(pgh_obj_id=filters.object_id) if _fits(model, filters.object_id) else events.none()
    if filters.label:
        events = events.filter(pgh_label=filters.label)
    if filters.actor_id is not None:
        events = events.filter(pgh_context__user=filters.actor_id)
    if filters.since:
        events = events.filter(pgh_created_at__gte=_midnight(filters.since))
    if filters.until:
        events = events.filter(pgh_created_at__lt=_midnight(filters.until + timedelta(days=1)))
    if filters.before:
        at, before_label, before_id = _parsed(filters.before)
        older = Q(pgh_created_at__lt=at)
        # Events of one transaction share their moment; among them the label and the number decide, as in the merge.
        if label < before_label:
            older |= Q(pgh_created_at=at)
        elif label == before_label:
            older |= Q(pgh_created_at=at, pgh_id__lt=before_id)
        events = events.filter(older)
    previous = model.objects.filter(pgh_obj_id=OuterRef("pgh_obj_id"), pgh_id__lt=OuterRef("pgh_id"))
    events = events.annotate(previous_id=Subquery(previous.order_by("-pgh_id").values("pgh_id")[:1]))
    return [(event.pgh_created_at, label, event.pgh_id, event) for event in events[: EVENTS_A_PAGE + 1]]


def _fits(model: Any, object_id: str) -> bool:
    try:
        model._meta.get_field("pgh_obj").target_field.to_python(object_id)
    except Exception:  # a UUID where a number is meant, or the other way round
        return False
    return True


def _described(page: list[Row], tables: dict[str, Table]) -> list[Event]:
    previous: dict[tuple[str, int], Any] = {}
    for label, table in tables.items():
        ids = {row[3].previous_id for row in page if row[1] == label and row[3].previous_id is not None}
        previous |= {(label, event.pgh_id): event for event in table.events.objects.filter(pgh_id__in=ids)}
    contexts = [row[3].pgh_context or {} for row in page]
    people = User.objects.in_bulk({context["user"] for context in contexts if context.get("user")})
    return [
        Event(
            at=row[0],
            label=row[3].pgh_label,
            model=row[1],
            model_name=str(row[3].pgh_tracked_model._meta.verbose_name),
            object_id=str(row[3].pgh_obj_id),
            actor=people.get(context.get("user")),
            process=str(context.get("process", "")),
            why=str(context.get("why", "")),
            url=str(context.get("url", "")),
            changes=_changes(row[3], previous.get((row[1], row[3].previous_id))),
            cursor=_cursor(row),
        )
        for row, context in zip(page, contexts, strict=True)
    ]


def _changes(event: Any, before: Any) -> list[Change]:
    """The fields that differ from the event before; all that are set for the first one and the last."""
    fields = [field for field in event._meta.fields if not field.name.startswith("pgh_") and field.name != "id"]
    whole = before is None or event.pgh_label == "deleted"
    changes = []
    for field in fields:
        new = getattr(event, field.attname)
        old = None if whole else getattr(before, field.attname)
        if new != old and not (whole and new in ("", None)):
            gone = event.pgh_label == "deleted"
            changes.append(Change(str(field.verbose_name), _text(new if gone else old), "" if gone else _text(new)))
    return changes


def _text(value: Any) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, datetime):
        return value.astimezone(centre_zone()).strftime("%Y-%m-%d %H:%M:%S")
    text = str(value)
    return text if len(text) <= 200 else text[:200] + "…"


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=centre_zone())


def _cursor(row: Row) -> str:
    return f"{row[0].isoformat()}|{row[1]}|{row[2]}"


def _parsed(cursor: str) -> tuple[datetime, str, int]:
    try:
        at, label, number = cursor.split("|")
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise ValueError(cursor)
        return moment, label, int(number)
    except ValueError as error:
        raise Http404 from error
