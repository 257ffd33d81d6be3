"""What a page costs: the queries of a request, its time, and the processor time of the portal's own process.

Through the whole web stack by Django's test client, without the network. The time is what a person waits for on this
machine, whatever else it does meanwhile; the processor time is the portal's part of it and leaves PostgreSQL's out.
"""

import statistics
import time

from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from portal.people.models import User

QUERIES_MOST, P95_MS_MOST = 12, 150


def browser_of(person: User) -> Client:
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = settings.STORAGES | {"staticfiles": plain}  # whatever an installed stack has collected
    client = Client(headers={"host": "localhost"})
    client.force_login(person, backend=settings.AUTHENTICATION_BACKENDS[0])
    return client


def page(name: str, client: Client, address: str, rounds: int) -> None:
    """Prints three figures of a page."""
    client.get(address)  # templates and catalogues are read now
    with CaptureQueriesContext(connection) as asked:
        assert client.get(address).status_code == 200
        count = len(asked)  # the next request begins to count anew
    seconds, process_seconds = [], []
    for _round in range(rounds):
        began, process_began = time.perf_counter(), time.process_time()
        client.get(address)
        seconds.append(time.perf_counter() - began)
        process_seconds.append(time.process_time() - process_began)
    print(f"{name}_queries {count} queries <={QUERIES_MOST}", flush=True)
    print(f"{name}_p95 {p95_ms(seconds):.0f} ms <={P95_MS_MOST}", flush=True)
    print(f"{name}_process {statistics.median(process_seconds) * 1_000:.0f} ms -", flush=True)


def p95_ms(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=20)[-1] * 1_000
