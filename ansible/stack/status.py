"""Is each part of the stack well? Every answer comes from the part itself, not from its being there."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from . import supervisor
from .layout import GPU_NODES, SLURM_NODES, Stack, checkout_home

PROBE_TIMEOUT_S = 15
CLUSTER = "local"
WORKERS = ("worker-default", f"worker-cluster-{CLUSTER}")


@dataclass(frozen=True)
class Health:
    name: str
    well: bool
    says: str


def health(stack: Stack) -> list[Health]:
    """One line for each process and each thing that several of them must do together."""
    programs = {str(program["name"]): program for program in supervisor.programs(stack)}
    if not programs:
        return [Health("supervisord", False, "is not running")]
    probes = _probes(stack)
    with ThreadPoolExecutor(len(probes)) as pool:
        answers = dict(zip(probes, pool.map(_ask, probes.values()), strict=True))
    lines = [Health("supervisord", True, f"keeps {len(programs)} programs")]
    for name, program in sorted(programs.items()):
        well, says = answers.pop(name, (True, ""))
        running = program["statename"] == "RUNNING"
        up_s = time.time() - program["start"]
        state = f"pid {program['pid']}, up {up_s:.0f} s" if running else f"is {program['statename'].lower()}"
        lines.append(Health(name, running and well, f"{state}, {says}" if says else state))
    missing = [name for name in answers if name not in programs]
    return lines + [Health(name, False, "has no program: build the stack again") for name in missing]


def _ask(probe: Callable[[], str]) -> tuple[bool, str]:
    try:
        return True, probe()
    except subprocess.TimeoutExpired:
        return False, f"gave no answer in {PROBE_TIMEOUT_S} s"
    except subprocess.CalledProcessError as error:
        return False, (error.stderr or error.stdout or str(error)).strip().splitlines()[-1]
    except (OSError, ValueError, KeyError) as error:
        return False, str(error) or type(error).__name__


def _run(command: list[str], **environment: str) -> str:
    done = subprocess.run(
        command,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"} | environment,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=PROBE_TIMEOUT_S,
        check=True,
    )
    return done.stdout.strip()


def _probes(stack: Stack) -> dict[str, Callable[[], str]]:
    environment = stack.environment()
    probes: dict[str, Callable[[], str]] = {
        "postgresql": lambda: _postgresql(environment["DATABASE_URL"]),
        "redis": lambda: _redis(environment["REDIS_URL"]),
        "mariadb": lambda: _mariadb(stack),
        "munged": lambda: _munged(stack.run / "munge/munge.socket"),
        "munged-accounting": lambda: _munged(stack.run / "munge-accounting/munge.socket"),
        "slurmdbd": lambda: _slurmdbd(stack),
        "slurmctld": lambda: _slurmctld(stack),
        "prometheus": lambda: _http(environment["PROMETHEUS_URL"] + "/-/ready"),
    }
    probes |= {f"slurmd-{node}": _node_probe(stack, node) for node in SLURM_NODES}
    if (stack.install / "app/manage.py").exists():
        probes |= {"web": lambda: _http(environment["SITE_URL"] + "/healthz"), "beat": lambda: ""}
        probes |= {name: _worker_probe(stack, name) for name in WORKERS}
        probes |= {f"exporter-{node}": _exporter_probe(environment, node) for node in GPU_NODES}
    return probes


def _postgresql(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    command = ["psql", "-XAtq", "-w", "-h", str(parts.hostname), "-p", str(parts.port), "-U", str(parts.username)]
    return "server " + _run([*command, parts.path[1:], "-c", "show server_version"], PGPASSWORD=str(parts.password))


def _redis(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port or 6379), PROBE_TIMEOUT_S) as connection:
        connection.sendall(f"AUTH {parts.username} {parts.password}\r\nPING\r\n".encode())
        answer = b""
        while b"PONG" not in answer and not answer.startswith(b"-"):
            piece = connection.recv(200)
            if not piece:
                break
            answer += piece
    if b"PONG" not in answer:
        raise ValueError(answer.decode(errors="replace").strip() or "closed the connection")
    return "answers PING"


def _mariadb(stack: Stack) -> str:
    lines = (stack.run / "slurm/slurmdbd.conf").read_text().splitlines()
    conf = dict(line.split("=", 1) for line in lines if "=" in line)
    command = ["mariadb", "--no-defaults", "-NB", "-h", "127.0.0.1", "-P", conf["StoragePort"], "-u", "slurm"]
    return "server " + _run([*command, "-e", "select version()"], MYSQL_PWD=conf["StoragePass"])


def _munged(place: Path) -> str:
    socket_path = str(place)
    credential = _run(["munge", "-n", "-S", socket_path])
    done = subprocess.run(
        ["/usr/bin/unmunge", "-S", socket_path], input=credential, capture_output=True, text=True, check=True, timeout=5
    )
    return "makes and reads credentials" if "Success" in done.stdout else done.stdout


def _slurmdbd(stack: Stack) -> str:
    clusters = _run(["sacctmgr", "-nP", "show", "cluster", "format=cluster"], SLURM_CONF=str(stack.slurm_conf))
    return f"knows cluster {clusters}"


def _slurmctld(stack: Stack) -> str:
    says = _run(["scontrol", "ping"], SLURM_CONF=str(stack.slurm_conf))
    if " UP" not in says:
        raise ValueError(says)
    known = ["sacctmgr", "-nP", "show", "cluster", CLUSTER, "format=controlhost"]
    if not _run(known, SLURM_CONF=str(stack.slurm_conf)):
        raise ValueError(
            "answers, but is not registered with slurmdbd, so hears of no new account; if it stays so, restart it"
        )
    return "answers ping, registered with slurmdbd"


def _node_probe(stack: Stack, node: str) -> Callable[[], str]:
    def probe() -> str:
        state = _run(["sinfo", "-h", "-N", "-n", node, "-o", "%T"], SLURM_CONF=str(stack.slurm_conf)).split()[0]
        if any(bad in state for bad in ("down", "unknown", "drain", "fail", "*")):
            raise ValueError(f"node is {state}")
        return f"node is {state}"

    return probe


def _exporter_probe(environment: dict[str, str], node: str) -> Callable[[], str]:
    def probe() -> str:
        url = next(nodes[node] for nodes in json.loads(environment["EXPORTERS"]).values() if node in nodes)
        request = urllib.request.Request(f"{url}/metrics")  # noqa: S310
        request.add_header("Authorization", f"Bearer {environment['EXPORTER_TOKEN']}")
        with urllib.request.urlopen(request, timeout=PROBE_TIMEOUT_S) as answer:  # noqa: S310
            rows = [line.split('"') for line in answer.read().decode().splitlines()]
        states = {row[1]: float(row[2].lstrip("} ")) for row in rows if row[0].startswith("gpu_exporter_gpus{")}
        says = ", ".join(f"{count:.0f} GPUs {state}" for state, count in states.items() if count)
        if sum(states.values()) != states.get("ok") or not says:
            raise ValueError(says or "knows of no GPU")
        return says

    return probe


def _http(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    request = urllib.request.Request(parts._replace(netloc=f"{parts.hostname}:{parts.port}").geturl())  # noqa: S310
    if parts.username:
        credentials = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
        request.add_header("Authorization", f"Basic {credentials}")
    with urllib.request.urlopen(request, timeout=PROBE_TIMEOUT_S) as answer:  # noqa: S310
        return f"{parts.path} says {answer.status}"


def _worker_probe(stack: Stack, name: str) -> Callable[[], str]:
    node = name.removeprefix("worker-").replace("cluster-", "cluster.")

    def probe() -> str:
        python = str(checkout_home() / "venv/bin/python")
        return _run([python, "-c", PING_WORKER, f"{node}@{stack.name}"], REDIS_URL=stack.environment()["REDIS_URL"])

    return probe


# Through the broker and back, as a task goes. Celery's own command line takes three times as long.
PING_WORKER = """
import os, sys, celery
app = celery.Celery(broker=os.environ["REDIS_URL"])
if not any(app.control.ping(destination=[sys.argv[1]], timeout=2, limit=1) for attempt in range(3)):
    sys.exit("does not answer through its queue")
print("answers through its queue")
"""


def outside(stack: Stack) -> list[str]:
    """What of the stack lies outside its directory and exists."""
    places = [stack.state, stack.run, stack.install, stack.sudoers, checkout_home()]
    found = [str(place) for place in places if os.path.lexists(place)]
    if stack.users():
        found.append("unix users " + " ".join(sorted(stack.users())))
        found.append("unix groups " + " ".join(stack.groups()))
    return found


def print_status(stack: Stack, *, as_json: bool = False) -> bool:
    """Print the health of every part; return whether all are well."""
    if not stack.record():
        print(f"{stack.directory}: no stack here; `make run` builds one")
        return False
    lines = health(stack)
    if as_json:
        print(json.dumps({"well": all(line.well for line in lines), "parts": [line.__dict__ for line in lines]}))
    else:
        for line in lines:
            print(f"{'ok ' if line.well else 'BAD'}  {line.name:22} {line.says}")
        print(f"\nOutside {stack.directory} (`make reset` removes it):")
        for place in outside(stack):
            print("    ", place)
    return all(line.well for line in lines)
