"""What a researcher's job runs to try every door of the stack: python3 -I knock.py PORT_BASE RUN_DIR.

Prints one JSON object: door → what came of it, "refused: …" or "OPEN: …". It runs on the node, as the researcher,
without anything of the project.
"""

import glob
import json
import os
import socket
import subprocess
import sys

base, run = int(sys.argv[1]), sys.argv[2]
host = "127.0.0.1"
found: dict[str, str] = {}


def talk(port: int, question: bytes, wait_s: float = 2) -> bytes:
    with socket.create_connection((host, port), wait_s) as connection:
        connection.settimeout(wait_s)
        if question:
            connection.sendall(question)
        try:
            return connection.recv(4000)
        except TimeoutError:
            return b""


def judge(door: str, answer: bytes, refusals: tuple[bytes, ...]) -> None:
    word = "refused" if any(refusal in answer for refusal in refusals) else "OPEN"
    found[door] = f"{word}: {answer[:200].decode(errors='replace')}"


def command(door: str, arguments: list[str], refusals: tuple[str, ...]) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL, check=False)
    text = (done.stdout + done.stderr).strip()
    refused = done.returncode != 0 and any(refusal in text for refusal in refusals)
    found[door] = f"{'refused' if refused else 'OPEN'}: {text[-300:]}"


def http(door: str, port: int, path: str, codes: tuple[bytes, ...]) -> None:
    answer = talk(port, f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
    judge(door, answer.split(b"\r\n")[0], codes)


me = os.environ["USER"]
for name in ("postgres", "saola_owner", "saola_web", "saola_worker", "saola_app", me):
    for place in (host, f"{run}/postgresql"):
        psql = ["psql", "-w", "-X", "-h", place, "-p", str(base + 1), "-U", name, "-c", "select 1"]
        command(f"postgresql {name} {place}", [*psql, "saola"], ("no password supplied", "authentication failed"))
        command(f"postgresql {name} {place} template1", [*psql, "template1"], ("no password supplied",))
for question in (b"PING\r\n", b"INFO\r\n", b"KEYS *\r\n", b"AUTH default default\r\n", b"AUTH saola_web x\r\n"):
    judge(f"redis {question!r}", talk(base + 2, question), (b"NOAUTH", b"WRONGPASS"))
for name in ("root", "slurm", "mysql", "", me):
    doors = {"port": ["-h", host, "-P", str(base + 3)], "socket": ["-S", f"{run}/mariadb/mysqld.sock"]}
    for door, where in doors.items():
        mariadb = ["mariadb", "--no-defaults", "--connect-timeout=5", *where, "-u", name, "-e", "select 1"]
        command(f"mariadb {name} {door}", mariadb, ("Access denied",))
for path in ("/", "/metrics", "/api/v1/query?query=up", "/api/v1/targets", "/-/ready"):
    http(f"prometheus {path}", base + 6, path, (b" 401 ",))
http("web /metrics", base, "/metrics", (b" 401 ", b" 403 ", b" 404 "))
for offset in range(21, 26):
    for path in ("/metrics", "/events?after=0", "/reports", "/"):
        http(f"exporter {offset} {path}", base + offset, path, (b" 401 ",))
# Slurm's ports speak only to what munge vouches for; garbage gets no data back.
for name, port in {"slurmdbd": 4, "slurmctld": 5, "gpu001": 11, "gpu002": 12, "gpu003": 13, "gpu004": 14}.items():
    try:
        answer = talk(base + port, b"GET / HTTP/1.0\r\n\r\n")
    except ConnectionError:
        answer = b""
    found[f"{name} garbage"] = f"{'OPEN' if answer.strip(bytes(1)) else 'refused'}: {answer[:100]!r}"
refused = ("denied", "Access", "permission", "not running with", "Invalid user id", "only root", "privilege")
command("sacctmgr add account", ["sacctmgr", "-i", "add", "account", "mine"], refused)
command("sacctmgr raise", ["sacctmgr", "-i", "modify", "user", me, "set", "adminlevel=Administrator"], refused)
command("scontrol shutdown", ["scontrol", "shutdown"], refused)
command("scontrol reconfigure", ["scontrol", "reconfigure"], refused)
command("scontrol node", ["scontrol", "update", "nodename=gpu001", "state=drain", "reason=x"], refused)
command("scontrol partition", ["scontrol", "update", "partitionname=h100", "maxtime=infinite"], refused)
for path in [f"{run}/supervisor.sock", *glob.glob(f"{run}/*/*"), *glob.glob(f"{run}/*/.s.*")]:
    if path.endswith((".sock", ".pid", ".lock")) and "postgres" not in path and "munge" not in path:
        try:
            with socket.socket(socket.AF_UNIX) as door:
                door.connect(path)
            found.setdefault(f"connect {path}", "OPEN: connected" if "supervisor" in path else "refused: asks later")
        except OSError as error:
            found[f"connect {path}"] = f"refused: {error}"
for path in (f"{run}/slurm/slurmdbd.conf", f"{run}/munge/munge.key", "/etc/shadow"):
    try:
        with open(path, "rb"):
            found[f"read {path}"] = "OPEN: readable"
    except OSError as error:
        found[f"read {path}"] = f"refused: {error}"
print(json.dumps(found))
