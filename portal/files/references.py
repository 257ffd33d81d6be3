"""Who refers to a stored file. Foreign keys to StoredFile are found by themselves: forgetting one must not cost a file.
What refers in another way (an id inside JSON) is registered in AppConfig.ready():

    from portal.files import references

    references.register(answered_file_ids)    # () -> a query of StoredFile ids, none of them null

Whoever writes such a reference to a file that is older than a day first locks its row (`select_for_update`): the one
that drops unused files waits, and looks again.
"""

from collections.abc import Callable
from typing import Any, cast

from django.db.models import Exists, Model, OuterRef, QuerySet

from portal.files.models import StoredFile

FileIds = Callable[[], QuerySet[Any]]
_registered: list[FileIds] = []


def register(file_ids: FileIds) -> None:
    if file_ids not in _registered:
        _registered.append(file_ids)


def unused(files: QuerySet[StoredFile]) -> QuerySet[StoredFile]:
    """Those of `files` that nothing refers to."""
    for relation in StoredFile._meta.related_objects:
        # The history's rows have no constraint: they outlive what they tell of.
        if getattr(relation.field, "db_constraint", True):
            model = cast(type[Model], relation.related_model)
            rows = model._base_manager.filter(**{relation.field.name: OuterRef("pk")})
            files = files.exclude(Exists(rows))
    for file_ids in _registered:
        files = files.exclude(pk__in=file_ids())
    return files
