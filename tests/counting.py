"""What a page asks of the database: the same, and no more than a bound, however many rows it could show."""

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

QUERIES_MOST = 12


def queries_of(client: Client, address: str) -> int:
    """Of a request for a page that is there; what a process reads only once is not counted."""
    client.get(address)
    with CaptureQueriesContext(connection) as asked:
        assert client.get(address).status_code in (200, 204)
    return len(asked)
