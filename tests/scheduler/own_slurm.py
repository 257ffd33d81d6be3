"""A Slurm of a test's own beside the test stack's: another version, another size, one that may be stopped.

    with own_slurm(cluster="south", partitions=(Partition("h200", "h200", nodes=2),)) as slurm:
        settings.SLURM["south"] = slurm.how
        slurm.live().adapter().queue()

It is configured from the same templates as a centre's (ansible/roles/slurm) and keeps its records in a database of its
own in the test stack's MariaDB; the stack's unix accounts are its people. Everything of it lies in one directory and
ends with the test, also where the test process is killed: what then remains outside (directory, database, sudoers) is
removed by the next one. Programs come from `prefix`, by default $SLURM_PREFIX or /usr. Start it in the main thread.
"""

import json
import os
import pwd
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from django.conf import settings

from scheduler.clusters.adapters.programs import Programs
from tests.scheduler.live import CLUSTER, LiveSlurm, wait_for

ROLES = Path(__file__).resolve().parents[2] / "ansible/roles"
PORTS = range(20_000, 32_000)  # below those that the kernel gives to clients
WRAPPERS = ROLES.parents[1] / "scheduler/clusters/wrappers"
RENDER = """
import json, sys, jinja2, yaml
asked = json.load(sys.stdin)
values = {name: value for text in asked["defaults"] for name, value in yaml.safe_load(text).items()} | asked["values"]
print(json.dumps([jinja2.Template(text, trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined)
                  .render(values) for text in asked["templates"]]))
"""


@dataclass(frozen=True)
class Partition:
    """With nodes of its own, all of one GPU type."""

    name: str
    gpu: str
    nodes: int


AS_THE_STACKS = (Partition("h100", "h100", nodes=3), Partition("h200", "h200", nodes=1))


@dataclass
class OwnSlurm:
    cluster: str
    prefix: Path
    partitions: Sequence[Partition]
    gpus_per_node: int
    directory: Path
    stack: str
    ports: range
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def conf(self) -> Path:
        return self.directory / "etc/slurm.conf"

    @property
    def how(self) -> dict[str, str]:
        """As in the setting SLURM."""
        return settings.SLURM[CLUSTER] | {
            "slurm_conf": str(self.conf),
            "accounting_lock": str(self.directory / "sacctmgr.lock"),
            "bin_dir": str(self.prefix / "bin"),
            "wrappers_dir": str(self.directory / "libexec"),
        }

    @cached_property
    def version(self) -> tuple[int, ...]:
        """(22, 5, 8)"""
        said = subprocess.run([self.prefix / "sbin/slurmctld", "-V"], capture_output=True, text=True, check=True).stdout
        return tuple(int(part) for part in re.findall(r"\d+", said)[:3])

    @cached_property
    def nodes(self) -> list[str]:
        return [f"gpu{number + 1:03}" for number in range(sum(row.nodes for row in self.partitions))]

    def live(self) -> LiveSlurm:
        return LiveSlurm(self.cluster, self.how)

    # ---- its daemons, by name: munged, slurmdbd, slurmctld and each node's slurmd under the node's name

    def start(self, daemon: str) -> None:
        munge, sbin = self.directory / "munge", self.prefix / "sbin"
        if daemon == "munged":
            files = [f"--{what}-file={munge}/munged.{what}" for what in ("key", "pid", "seed", "log")]
            user = "munge"
            vector = ["/usr/sbin/munged", "--foreground", "--force", f"--socket={munge}/munge.socket", *files]
        elif daemon in ("slurmdbd", "slurmctld"):
            user, vector = "slurm", [f"{sbin}/{daemon}", "-D"]
        else:
            user, vector = "root", [f"{sbin}/slurmd", "-D", "-N", daemon]
        self.daemons[daemon] = self._process(daemon, user, vector)

    def kill(self, daemon: str) -> None:
        process = self.daemons.pop(daemon)
        process.kill()
        process.wait()

    def suspend(self, daemon: str) -> None:
        self.daemons[daemon].send_signal(signal.SIGSTOP)

    def resume(self, daemon: str) -> None:
        self.daemons[daemon].send_signal(signal.SIGCONT)

    def log(self, daemon: str) -> str:
        return (self.directory / "log" / daemon).read_text(errors="replace")

    def _process(self, name: str, user: str, vector: Sequence[str]) -> subprocess.Popen[bytes]:
        entry = pwd.getpwnam(user if user == "root" else f"{self.stack}-{user}")
        # It ends with this process however that ends.
        so = ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--init-groups", "--pdeathsig=KILL"]
        with (self.directory / "log" / name).open("ab") as log:
            return subprocess.Popen(
                [*so, "--", *vector],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "SLURM_CONF": str(self.conf)},
                start_new_session=True,
            )

    # ---- beginning

    def begin(self) -> None:
        """Raises AssertionError with the words of the daemon that did not come up."""
        self._files_write()
        self._database_make()
        self.start("munged")
        self._wait("munged", lambda: (self.directory / "munge/munge.socket").is_socket())
        self.start("slurmdbd")
        root = Programs(**{name: self.how[name] for name in ("slurm_conf", "accounting_lock", "bin_dir")})
        # slurmctld exits where slurmdbd does not know its cluster.
        self._wait("slurmdbd", lambda: not root.ask("sacctmgr", "-nP", "show", "cluster").code)
        root.read("sacctmgr", "-i", "-Q", "add", "cluster", self.cluster)
        who = [f"{self.stack}-cluster", "account=root", "adminlevel=Administrator", "maxsubmitjobs=0"]
        root.read("sacctmgr", "-i", "-Q", "add", "user", *who)
        for daemon in ("slurmctld", *self.nodes):
            self.start(daemon)

        def nodes_are_up() -> bool:
            states = root.ask("sinfo", "-h", "-N", "-o", "%T").out.split()
            return bool(states) and not [state for state in states if re.search(r"down|unk|\*", state)]

        self._wait("slurmctld", nodes_are_up, limit_s=60 + len(self.nodes))

    def _wait(self, daemon: str, ask: Any, limit_s: float = 60) -> None:
        def answers() -> bool:
            assert self.daemons[daemon].poll() is None, f"{daemon} ended: {self.log(daemon)[-3_000:]}"
            return bool(ask())

        try:
            wait_for(daemon, answers, limit_s, every_s=0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log(daemon)[-3_000:]}") from error

    def _files_write(self) -> None:
        place, slurm = self.directory, f"{self.stack}-slurm"
        place.chmod(0o755)
        for name, mode, owner in (
            ("etc", 0o755, "root"),
            ("libexec", 0o755, "root"),
            ("log", 0o700, "root"),
            ("dev", 0o755, "root"),
            ("state", 0o755, "root"),
            ("state/slurmd", 0o755, "root"),
            ("state/slurmctld", 0o700, slurm),
            ("munge", 0o755, f"{self.stack}-munge"),
        ):
            (place / name).mkdir()
            (place / name).chmod(mode)
            shutil.chown(place / name, owner, pwd.getpwnam(owner).pw_gid)
        self._write("munge/munged.key", secrets.token_bytes(128), 0o400, f"{self.stack}-munge")
        self._write("sacctmgr.lock", b"", 0o666)
        for minor in range(self.gpus_per_node):
            os.mknod(place / f"dev/nvidia{minor}", 0o020666, os.makedev(195, minor))
        for wrapper in WRAPPERS.iterdir():
            self._write(f"libexec/{wrapper.name}", wrapper.read_bytes(), 0o755)
        self._write("libexec/wrappers.json", json.dumps(self.how).encode(), 0o644)
        fence = (ROLES / "slurm/files/job_submit.lua").read_bytes()
        self._write("etc/job_submit.lua", fence, 0o644)
        partitions = "".join(f"{row.name} {row.gpu}\n" for row in self.partitions)
        self._write("etc/gpu_partitions.conf", partitions.encode(), 0o644)
        names = ("slurm.conf", "gres.conf", "cgroup.conf", "slurmdbd.conf")
        *texts, sudoers = self._rendered(
            *(f"slurm/templates/{name}.j2" for name in names), "portal/templates/sudoers.j2"
        )
        for name, text in zip(names, texts, strict=True):
            mode, owner = (0o600, slurm) if name == "slurmdbd.conf" else (0o644, "root")
            self._write(f"etc/{name}", text.encode(), mode, owner)
        _sudoers(self.directory).write_text(sudoers)
        _sudoers(self.directory).chmod(0o440)

    def _write(self, name: str, data: bytes, mode: int, owner: str = "root") -> None:
        path = self.directory / name
        path.write_bytes(data)
        path.chmod(mode)
        shutil.chown(path, owner, pwd.getpwnam(owner).pw_gid)

    def _rendered(self, *templates: str) -> list[str]:
        """The roles' own templates, by the Jinja of the environment that Ansible lives in."""
        asked = {
            "templates": [(ROLES / name).read_text() for name in templates],
            "defaults": [(ROLES / role / "defaults/main.yml").read_text() for role in ("slurm", "portal")],
            "values": self._values(),
        }
        python = Path(sys.prefix).resolve().parent / "tools/bin/python"
        done = subprocess.run(
            [python, "-c", RENDER], input=json.dumps(asked), capture_output=True, text=True, check=False
        )
        assert not done.returncode, done.stderr
        slurm, gres, cgroup, dbd, sudoers = json.loads(done.stdout)
        dbd = re.sub(r"(?m)^(StorageLoc|StorageUser)=.*", rf"\1={self.database}", dbd)
        if self.version >= (23, 11):  # can do without, and cannot make do with one that is not mounted
            cgroup = re.sub(r"(?m)^CgroupPlugin=.*", "CgroupPlugin=disabled", cgroup)
        return [slurm, gres, cgroup, dbd, sudoers]

    def _values(self) -> dict[str, Any]:
        names = iter(self.nodes)
        stacks_dbd = Path(settings.SLURM[CLUSTER]["slurm_conf"]).parent / "slurmdbd.conf"
        (mariadb_port,) = re.findall(r"^StoragePort=(\d+)", stacks_dbd.read_text(), re.MULTILINE)
        munge_socket = f"{self.directory}/munge/munge.socket"
        return {
            "slurm_cluster_name": self.cluster,
            "slurm_user": f"{self.stack}-slurm",
            "slurm_state_dir": f"{self.directory}/state",
            "slurm_device_dir": f"{self.directory}/dev",
            "slurmctld_port": self.ports[0],
            "slurmdbd_port": self.ports[1],
            "slurmd_first_port": self.ports[2],
            "munge_socket": munge_socket,
            "munge_accounting_socket": munge_socket,
            "mariadb_port": mariadb_port,
            "mariadb_slurm_password": self.password,
            "slurm_partitions": [
                {"name": row.name, "gpu": row.gpu, "nodes": [next(names) for _ in range(row.nodes)]}
                for row in self.partitions
            ],
            "slurm_gpus_per_node": self.gpus_per_node,
            "slurm_cpus_per_node": 8 * self.gpus_per_node,
            "slurm_memory_mb_per_node": 125_000 * self.gpus_per_node,
            "slurm_emulation": True,
            "slurm_hooks_dir": "",
            "slurm_several_nodes_per_host": True,
            "slurm_cred_expire_s": 5,
            "slurm_kill_wait_s": 5,
            "cluster_user": f"{self.stack}-cluster",
            "researchers_group": f"{self.stack}-res",
            "portal_libexec_dir": f"{self.directory}/libexec",
        }

    @cached_property
    def password(self) -> str:
        return secrets.token_hex(20)

    @property
    def database(self) -> str:
        return _database_name(self.directory)

    def _database_make(self) -> None:
        name = self.database
        _sql(
            self.stack,
            f"CREATE DATABASE {name}; CREATE USER '{name}'@'localhost' IDENTIFIED BY '{self.password}';"
            f"CREATE USER '{name}'@'127.0.0.1' IDENTIFIED BY '{self.password}';"
            f"GRANT ALL ON {name}.* TO '{name}'@'localhost'; GRANT ALL ON {name}.* TO '{name}'@'127.0.0.1';",
        )

    # ---- end

    def end(self) -> None:
        """Nothing of it is kept, so nothing is asked to save anything."""
        steps = _steps(self.directory)
        for process in reversed(self.daemons.values()):
            process.kill()
        for pid in steps | _steps(self.directory):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self.daemons.values():
            process.wait()
        self.daemons.clear()
        _remove(self.stack, self.directory)


def _steps(directory: Path) -> set[int]:
    """Every slurmstepd of these nodes, known by the socket it has, and all below it: they outlive their slurmd."""
    sockets = {
        f"socket:[{fields[6]}]"
        for line in Path("/proc/net/unix").read_text().splitlines()[1:]
        if len(fields := line.split(maxsplit=7)) == 8 and fields[7].startswith(f"{directory}/state/slurmd/")
    }
    parents: dict[int, int] = {}
    found: set[int] = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if (entry / "exe").resolve().name.startswith("slurmstepd") and sockets & {
                os.readlink(link) for link in (entry / "fd").iterdir()
            }:
                found.add(int(entry.name))
    while below := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= below
    return found


@contextmanager
def own_slurm(
    *,
    cluster: str = "own",
    partitions: Sequence[Partition] = AS_THE_STACKS,
    gpus_per_node: int = 8,
    prefix: Path | str | None = None,
) -> Iterator[OwnSlurm]:
    """`cluster` is Slurm's ClusterName, and so the portal's name of it. Ready in some seconds, gone at the end."""
    stacks = LiveSlurm().how
    stack = stacks["researchers_group"].removesuffix("-res")
    state = Path(stacks["accounting_lock"]).parents[1]
    _sweep(stack, state)
    slurm = OwnSlurm(
        cluster=cluster,
        prefix=Path(prefix or os.environ.get("SLURM_PREFIX") or "/usr"),
        partitions=partitions,
        gpus_per_node=gpus_per_node,
        directory=Path(mkdtemp(dir=state, prefix=f"own-{os.getpid()}-")),
        stack=stack,
        ports=free_ports(2 + sum(row.nodes for row in partitions)),
    )
    try:
        slurm.begin()
        yield slurm
    finally:
        slurm.end()


def free_ports(count: int) -> range:
    for _ in range(100):
        first = random.randrange(PORTS.start, PORTS.stop - count)
        with suppress(OSError):
            for port in range(first, first + count):
                with socket.socket() as one:
                    one.bind(("127.0.0.1", port))
            return range(first, first + count)
    raise AssertionError(f"no {count} ports in a row are free")


def _sudoers(directory: Path) -> Path:
    return Path("/etc/sudoers.d", f"{directory.parent.name}-{directory.name}")


def _database_name(directory: Path) -> str:
    return directory.name.replace("-", "_")


def _sql(stack: str, statements: str) -> None:
    """As root, who administers MariaDB by its socket."""
    client = ["mariadb", "--no-defaults", f"--socket=/run/{stack}/mariadb/mysqld.sock", "--user=root"]
    subprocess.run(client, input=statements, text=True, check=True)


def _remove(stack: str, directory: Path) -> None:
    name = _database_name(directory)
    users = f"'{name}'@'localhost', '{name}'@'127.0.0.1'"
    _sql(stack, f"DROP DATABASE IF EXISTS {name}; DROP USER IF EXISTS {users};")
    _sudoers(directory).unlink(missing_ok=True)
    shutil.rmtree(directory)


def _sweep(stack: str, state: Path) -> None:
    """What tests that were killed have left; the directory is the last to go."""
    for directory in state.glob("own-*-*"):
        if not Path("/proc", directory.name.split("-")[1]).exists():
            for pid in _steps(directory):
                os.kill(pid, signal.SIGKILL)
            _remove(stack, directory)
