"""A worker that dies where a test wants it to (scheduler/clusters/faults.py): a process of its own, begun anew as
the stack begins it, or, in a tenth of the time, as a copy of the one that runs the tests."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

from django.db import connection

from portal.outbox.services import messages_deliver
from scheduler.clusters import faults

_PARENTS: list[object] = []
CHECKOUT = Path(__file__).resolve().parents[3]
WORKER = """
import django
django.setup()
from portal.outbox.services import messages_deliver
messages_deliver(queue="cluster.local")
"""


def worker_copied(*, dies_at: str, queue: str = "cluster.local") -> int:
    """Delivers what is due in a cluster's queue, in a copy of this process; how that ended (-9: killed)."""
    process = multiprocessing.get_context("fork").Process(target=_deliver, args=[dies_at, queue])
    process.start()
    process.join(120)
    assert process.exitcode is not None
    return process.exitcode


def _deliver(dies_at: str, queue: str) -> None:
    os.setsid()  # the whole group dies
    _PARENTS.append(connection.connection)  # neither used nor closed here
    connection.connection = None
    faults.reach = faults._die_at(dies_at)
    messages_deliver(queue=queue)
    connection.close()


def worker(*, dies_at: str = "") -> subprocess.Popen[bytes]:
    """A worker that delivers what is due in the cluster's queue, in its own process and process group."""
    database = connection.settings_dict
    url = (
        f"postgres://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    )
    environment = os.environ | {
        "DATABASE_URL": url,
        "DEMO": "1",
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "SAOLA_FAULT_POINT": dies_at,
    }
    return subprocess.Popen([sys.executable, "-c", WORKER], cwd=CHECKOUT, env=environment, start_new_session=True)
