"""Pages of a long list of jobs."""

from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet

from scheduler.jobs.models import Job


class JobPaginator(Paginator):
    """Counts and skips in an index alone, and then reads the rows of the one page with what stands beside them.

    Skipped together with their joins, the last page of 200,000 jobs would cost as much as all of them. A page beyond
    the middle is counted off from the end, so that the last one costs no more than the first.
    """

    def __init__(self, jobs: QuerySet[Job], per_page: int) -> None:
        self._jobs, self._keys = jobs, jobs.select_related(None).values_list("pk", flat=True)
        super().__init__(self._keys, per_page)

    def page(self, number: int | str) -> Page[Any]:
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        last = min(first + self.per_page, self.count)
        near = first < self.count - last
        ids = self._keys[first:last] if near else self._keys.reverse()[self.count - last : self.count - first]
        return Page(list(self._jobs.filter(pk__in=list(ids))) if self.count else [], number, self)
