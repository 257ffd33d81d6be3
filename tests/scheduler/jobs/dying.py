"""A worker that dies where a test wants it to: a process of its own, at a point that SAOLA_FAULT_POINT names."""

import os
import subprocess
import sys
from pathlib import Path

from django.db import connection

CHECKOUT = Path(__file__).resolve().parents[3]
WORKER = """
import django
django.setup()
from portal.outbox.services import messages_deliver
messages_deliver(queue="cluster.local")
"""


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
