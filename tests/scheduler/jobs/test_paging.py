"""Pages of a long list are those of the plain paginator, however far: the far half is counted off from the end."""

from datetime import timedelta

import pytest
from django.core.paginator import Paginator

from portal.clock import now
from scheduler.jobs.models import Job
from scheduler.jobs.paging import JobPaginator
from tests.scheduler.jobs.makers import submit

PER_PAGE = 2


@pytest.mark.parametrize("count", [0, 1, 4, 5])
def test_every_page_is_the_plain_one(submitter, allocation, count):
    at = now()
    for number in range(count):
        job = submit(submitter, allocation, gpus_per_node=1)
        Job.objects.filter(pk=job.pk).update(created_at=at - timedelta(seconds=number // 3))  # some at the same time
    plain, pages = Paginator(Job.objects.all(), PER_PAGE), JobPaginator(Job.objects.all(), PER_PAGE)
    assert pages.num_pages == plain.num_pages
    for number in plain.page_range:
        found, wanted = pages.page(number), plain.page(number)
        assert list(found.object_list) == list(wanted.object_list)
        assert (found.has_next(), found.start_index()) == (wanted.has_next(), wanted.start_index())
    assert list(pages.get_page("99").object_list) == list(plain.get_page("99").object_list)
