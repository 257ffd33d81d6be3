"""What a page costs: the queries of a request, its time, and the processor time that it takes.

Through the whole web stack by Django's test client, without the network. The time is what a person waits for on this
machine, whatever else runs on it meanwhile; the processor time, the portal's and that of its PostgreSQL backend on the
same machine, is what the request itself needs.
"""

import os
import statistics
import time
from pathlib import Path

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


def page(name: str, client: Client, address: str, rounds: int, p95_ms_most: int = P95_MS_MOST) -> None:
    """Prints three figures of a page."""
    client.get(address)  # templates and catalogues are read now
    with CaptureQueriesContext(connection) as asked:
        assert client.get(address).status_code == 200
        count = len(asked)  # the next request begins to count anew
    seconds, used = [], -processor_s()
    for _round in range(rounds):
        began = time.perf_counter()
        client.get(address)
        seconds.append(time.perf_counter() - began)
    used += processor_s()
    print(f"{name}_queries {count} queries <={QUERIES_MOST}", flush=True)
    print(f"{name}_p95 {p95_ms(seconds):.0f} ms <={p95_ms_most}", flush=True)
    print(f"{name}_processor {used / rounds * 1_000:.0f} ms -", flush=True)


def processor_s() -> float:
    """Processor time of this process and of its backend, so far; the backend's is known to a hundredth of a second."""
    connection.ensure_connection()
    backend = connection.connection.info.backend_pid
    # man proc_pid_stat: after the name in brackets come state, …; user and system time are the 12th and 13th.
    fields = Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()
    return time.process_time() + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def p95_ms(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=20)[-1] * 1_000
