"""Pages of a long list of jobs."""

from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet

from scheduler.jobs.models import Job


class JobPaginator(Paginator):
    """Counts and skips in an index alone, and then reads the rows of the one page with what stands beside them.

    Skipped together with their joins, the last page of 200,000 jobs would cost as much as all of them.
    """

    def __init__(self, jobs: QuerySet[Job], per_page: int) -> None:
        super().__init__(jobs.select_related(None).values_list("pk", flat=True), per_page)
        self._jobs = jobs

    def page(self, number: int | str) -> Page[Any]:
        found = super().page(number)
        ids = list(found.object_list)
        found.object_list = list(self._jobs.filter(pk__in=ids)) if ids else []
        return found
