"""The test stack's real Slurm, for tests marked `slurm`: as root, as the cluster's worker, as a researcher.

Everything a test makes there carries a name of its own and is removed after it: other tests, and the stack's own
worker, use the same Slurm at the same time.
"""

import grp
import os
import pwd
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from django.conf import settings

from scheduler.clusters.adapters.commands import CommandsAdapter
from scheduler.clusters.adapters.programs import Answer, Programs, RawAnswer

CLUSTER = "local"
T = TypeVar("T")


@dataclass(frozen=True)
class ProgramsAs(Programs):
    """Programs run as another user: the tests are root, the portal's worker is not."""

    user: str = ""

    @property
    def identity(self) -> str:
        return self.user

    def _vector(self, vector: Sequence[str]) -> list[str]:
        entry = pwd.getpwnam(self.user)
        return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--init-groups", "--", *vector]

    def ask_vector(self, vector: Sequence[str], *, timeout_s: float, stdin: str | None = None) -> Answer:
        return super().ask_vector(self._vector(vector), timeout_s=timeout_s, stdin=stdin)

    def ask_untrusted(self, vector: Sequence[str], *, stdin: bytes, limit_bytes: int, timeout_s: float) -> RawAnswer:
        return super().ask_untrusted(self._vector(vector), stdin=stdin, limit_bytes=limit_bytes, timeout_s=timeout_s)

    def stream_vector(self, vector: Sequence[str], *, timeout_s: float) -> Iterator[str]:
        return super().stream_vector(self._vector(vector), timeout_s=timeout_s)


class LiveSlurm:
    """The test stack's, or the one that `how` says (tests/scheduler/own_slurm.py)."""

    def __init__(self, cluster: str = CLUSTER, how: dict[str, str] | None = None) -> None:
        how = how or settings.SLURM.get(cluster)
        if not how:
            raise AssertionError("Set SAOLA_ENV_FILE to the test stack's env/manage.env: its Slurm is needed.")
        self.cluster, self.how = cluster, how
        self.researchers = sorted(grp.getgrnam(how["researchers_group"]).gr_mem)
        self.worker = how["researchers_group"].removesuffix("-res") + "-cluster"
        self.programs = {name: how[name] for name in ("slurm_conf", "accounting_lock", "bin_dir")}
        self.root = Programs(**self.programs)

    def adapter(self) -> CommandsAdapter:
        """As the cluster's worker, with its rights and no more."""
        return CommandsAdapter(
            cluster=self.cluster,
            programs=ProgramsAs(**self.programs, user=self.worker),
            wrappers_dir=self.how["wrappers_dir"],
            sudo=self.how["sudo"],
        )

    # ---- running programs

    def give_back(self) -> int:
        """As an operator after a daemon's death: Slurm drains a node on which a launch failed and holds its job.

        Returns how many nodes work again.
        """
        for line in self.root.ask("squeue", "-h", "-a", "-o", "%A %r").out.splitlines():
            number, reason = line.split(" ", 1)
            if reason == "launch failed requeued held":
                self.root.ask("scontrol", "release", number)
        drained = set(self.root.ask("sinfo", "-h", "-N", "-t", "drain,down", "-o", "%N").out.split())
        return sum(not self.root.ask("scontrol", "update", f"nodename={one}", "state=resume").code for one in drained)

    def admin(self, program: str, *arguments: str) -> str:
        """As root; must succeed."""
        return self.root.read(program, *arguments)

    def change_tree(self, *arguments: str) -> None:
        """Accounts or users changed by sacctmgr as root, the portal bypassed; must succeed."""
        answer = self.root.change_tree(*arguments)
        assert not answer.code, answer

    def researcher(self, user: str, program: str, *arguments: str, stdin: str = "") -> Answer:
        """As a person in an ssh session on the cluster."""
        entry = pwd.getpwnam(user)
        done = subprocess.run(
            [f"{self.how['bin_dir']}/{program}", *arguments],
            input=stdin,
            text=True,
            capture_output=True,
            user=entry.pw_uid,
            group=entry.pw_gid,
            extra_groups=os.getgrouplist(user, entry.pw_gid),
            cwd=entry.pw_dir,
            env={"PATH": "/usr/bin:/bin", "HOME": entry.pw_dir, "USER": user, "SLURM_CONF": self.how["slurm_conf"]},
            timeout=60,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def sbatch(self, user: str, *options: str, script: str = "#!/bin/sh\nsleep 1\n") -> Answer:
        """Plain sbatch, the portal bypassed."""
        return self.researcher(
            user, "sbatch", "--parsable", "--export=NONE", "--output=/dev/null", *options, stdin=script
        )

    def sbatch_unfenced(self, user: str, *options: str, script: str = "#!/bin/sh\nsleep 1\n") -> Answer:
        """The same past job_submit.lua, which lets root submit for others: what holds then is the limits alone."""
        entry = pwd.getpwnam(user)
        who = [f"--uid={user}", f"--gid={entry.pw_gid}", f"--chdir={entry.pw_dir}"]
        return self.root.ask(
            "sbatch", "--parsable", "--export=NONE", "--output=/dev/null", *who, *options, stdin=script
        )

    def home(self, user: str) -> str:
        return pwd.getpwnam(user).pw_dir

    def limit_poll_and_kill_s(self) -> int:
        """How long a job may run past its limit: slurmctld looks about every 30 s, then waits KillWait."""
        config = self.admin("scontrol", "show", "config")
        kill_wait = next(line for line in config.splitlines() if line.startswith("KillWait"))
        return 30 + int(kill_wait.split("=")[1].split()[0])


class Rubbish:
    """What tests left in Slurm, removed together at the end: each sacctmgr call takes half a second."""

    def __init__(self) -> None:
        self.accounts: set[str] = set()
        self.qos: set[str] = set()

    def clear(self) -> None:
        if not self.accounts and not self.qos:
            return
        slurm = LiveSlurm()
        adapter = slurm.adapter()
        wait_for("jobs to be gone", lambda: not [job for job in adapter.queue() if job.account in self.accounts], 90)
        for _ in range(10):  # slurmdbd learns a moment later that the last job ended
            self._people_remove(slurm)
            if not [row for row in adapter.associations() if row.account in self.accounts]:
                break
            time.sleep(1)
        tree = {row.name: row.parent for row in adapter.accounts() if row.name in self.accounts}
        for level in ([name for name in tree if tree[name] in tree], [name for name in tree if tree[name] not in tree]):
            if level:
                slurm.change_tree("delete", "account", "where", f"name={','.join(sorted(level))}")
        if self.qos:
            slurm.root.ask("sacctmgr", "-i", "delete", "qos", "where", f"name={','.join(sorted(self.qos))}")
        self.accounts.clear()
        self.qos.clear()

    def _people_remove(self, slurm: LiveSlurm) -> None:
        """slurmdbd takes nobody's default account away while they have others."""
        rows = [row for row in slurm.adapter().associations() if row.user in slurm.researchers]
        for user in {row.user for row in rows if row.account in self.accounts}:
            who = ["where", f"name={user}", f"cluster={CLUSTER}"]
            others = sorted({row.account for row in rows if row.user == user} - self.accounts)
            if others:
                slurm.root.change_tree("modify", "user", *who, "set", f"defaultaccount={others[0]}")
                who.append(f"account={','.join(sorted(self.accounts))}")
            else:
                who.pop()
            slurm.root.change_tree("delete", "user", *who)


RUBBISH = Rubbish()


def wait_for(what: str, ask: Callable[[], T], limit_s: float = 150, every_s: float = 0.25) -> T:
    deadline = time.monotonic() + limit_s
    while not (found := ask()):
        assert time.monotonic() < deadline, f"waited {limit_s} s for {what}"
        time.sleep(every_s)
    return found


def own_name(what: str) -> str:
    """A name that no other test and no other run has."""
    return f"t{secrets.token_hex(3)}-{what}"
