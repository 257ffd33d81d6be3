from dataclasses import dataclass

from django.db.models import Count, Max, Sum

from portal.files.models import StoredFile


@dataclass(frozen=True)
class Totals:
    uploads: int
    contents: int  # what is stored once counts once
    size_bytes: int


def totals() -> Totals:
    """What is stored. Whose it is, the apps above know."""
    contents = StoredFile.objects.values("sha256").annotate(uploads=Count("id"), size=Max("size_bytes")).order_by()
    row = contents.aggregate(all_uploads=Sum("uploads"), contents=Count("sha256"), all_size=Sum("size"))
    return Totals(row["all_uploads"] or 0, row["contents"], row["all_size"] or 0)
