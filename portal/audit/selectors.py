"""The history of every tracked model as one list, newest first.

Each model has its own table of events. A page takes its share of each, in the order of their index, and merges them in
one query: the cost is that of a page, however long the history is and however many models are followed.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple

from django.apps import apps
from django.db.models import IntegerField, Model, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import JSONObject
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
    chosen = [
        label
        for label, table in sorted(tables.items(), key=lambda known: known[0])
        if filters.model in ("", label) and _fits(table.events, filters.object_id)
    ]
    shares = [_share(tables[label].events, place, label, filters) for place, label in enumerate(chosen)]
    newest = shares if len(shares) < 2 else [shares[0].union(*shares[1:], all=True).order_by(*NEWEST)[:ROWS_READ]]
    rows = [Row(at, chosen[place], pgh_id) for found in newest for at, place, pgh_id in found]
    page = rows[:EVENTS_A_PAGE]
    cursor = _cursor(page[-1]) if len(rows) > EVENTS_A_PAGE else ""
    return _described(page, tables), cursor


class Row(NamedTuple):
    """Where an event stands in the history. Events of one moment follow each other by their models' labels."""

    at: datetime
    label: str
    pgh_id: int


NEWEST = ("-pgh_created_at", "-place", "-pgh_id")
ROWS_READ = EVENTS_A_PAGE + 1  # one more tells whether there is another page


def _share(model: Any, place: int, label: str, filters: Filters) -> QuerySet[Any, Any]:
    """The newest of a model's events that could stand on the page. `place`: of its label among all, in order."""
    events: QuerySet[Any] = model.objects.annotate(place=Value(place, IntegerField()))
    if filters.object_id:
        events = events.filter(pgh_obj_id=filters.object_id)
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
        if label < before_label:
            older |= Q(pgh_created_at=at)
        elif label == before_label:
            older |= Q(pgh_created_at=at, pgh_id__lt=before_id)
        events = events.filter(older)
    events = events.order_by("-pgh_created_at", "-pgh_id")
    return events.values_list("pgh_created_at", "place", "pgh_id")[:ROWS_READ]


def _fits(model: Any, object_id: str) -> bool:
    if not object_id:
        return True
    try:
        model._meta.get_field("pgh_obj").target_field.to_python(object_id)
    except Exception:  # a UUID where a number is meant, or the other way round
        return False
    return True


def _described(page: list[Row], tables: dict[str, Table]) -> list[Event]:
    found = _read(page, tables)
    contexts = [now["pgh_context"] or {} for now, _before in found]
    people = User.objects.in_bulk({context["user"] for context in contexts if context.get("user")})
    return [
        Event(
            at=row.at,
            label=now["pgh_label"],
            model=row.label,
            model_name=str(tables[row.label].followed._meta.verbose_name),
            object_id=str(now["pgh_obj_id"]),
            actor=people.get(context.get("user")),
            process=str(context.get("process", "")),
            why=str(context.get("why", "")),
            url=str(context.get("url", "")),
            changes=_changes(tables[row.label].events, now, before),
            cursor=_cursor(row),
        )
        for row, (now, before), context in zip(page, found, contexts, strict=True)
    ]


Values = dict[str, Any]  # of an event, by its columns


def _read(page: list[Row], tables: dict[str, Table]) -> list[tuple[Values, Values | None]]:
    """Each event with the one before it of the same object, whatever their models are, in one query."""
    ids: dict[str, list[int]] = defaultdict(list)
    for row in page:
        ids[row.label].append(row.pgh_id)
    parts = []
    for place, label in enumerate(ids):
        events = tables[label].events
        whole = JSONObject(**{field.attname: field.attname for field in events._meta.fields})
        before = events.objects.filter(pgh_obj_id=OuterRef("pgh_obj_id"), pgh_id__lt=OuterRef("pgh_id"))
        rows = events.objects.filter(pgh_id__in=ids[label]).order_by()
        rows = rows.annotate(
            place=Value(place, IntegerField()),
            now=whole,
            before=Subquery(before.order_by("-pgh_id").values(whole=whole)[:1]),
        )
        parts.append(rows.values_list("place", "pgh_id", "now", "before"))
    labels = list(ids)
    known = {
        (labels[place], pgh_id): (now, before)
        for place, pgh_id, now, before in (parts[0].union(*parts[1:], all=True) if parts else ())
    }
    return [known[row.label, row.pgh_id] for row in page]


def _changes(events: Any, now: Values, before: Values | None) -> list[Change]:
    """The fields that differ from the event before; all that are set for the first one and the last."""
    fields = [field for field in events._meta.fields if not field.name.startswith("pgh_") and field.name != "id"]
    gone = now["pgh_label"] == "deleted"
    whole = before is None or gone
    changes = []
    for field in fields:
        new = now[field.attname]
        old = None if whole or before is None else before[field.attname]
        if new != old and not (whole and new in ("", None)):
            after, earlier = _text(field, new), _text(field, old)
            changes.append(Change(str(field.verbose_name), after if gone else earlier, "" if gone else after))
    return changes


def _text(field: Any, value: Any) -> str:
    """A value of a field as the database writes it in JSON, for a person."""
    if value is None or value == "":
        return ""
    value = field.to_python(value)
    if isinstance(value, datetime):
        return value.astimezone(centre_zone()).strftime("%Y-%m-%d %H:%M:%S")
    text = str(value)
    return text if len(text) <= 200 else text[:200] + "…"


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=centre_zone())


def _cursor(row: Row) -> str:
    return f"{row.at.isoformat()}|{row.label}|{row.pgh_id}"


def _parsed(cursor: str) -> tuple[datetime, str, int]:
    try:
        at, label, number = cursor.split("|")
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise ValueError(cursor)
        return moment, label, int(number)
    except ValueError as error:
        raise Http404 from error
