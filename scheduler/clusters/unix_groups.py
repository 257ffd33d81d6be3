"""Unix groups of a cluster's host, as its name service shows them; changed by the root-owned wrapper `groups` alone.

Only worker processes and management commands have one: the web reaches no cluster. No Slurm is asked here, so every
adapter to one has the same.
"""

import grp
import json
import pwd
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.conf import settings

from scheduler.clusters.adapters.programs import Programs
from scheduler.clusters.adapters.protocol import ClusterError

MOST_AT_ONCE = 500  # people that one call takes; the wrapper refuses more
_TIMEOUT_S = 60  # groupadd and gpasswd wait for others who change /etc/group
_LOOK_TIMEOUT_S = 5  # a file system that does not answer keeps nobody waiting
_LOOK_BYTES = 200_000
_FORMAT = "%n|%F|%G|%a"


class GroupRefused(ClusterError):
    """The wrapper, or the host, does not make this change; in its words."""


@dataclass(frozen=True, slots=True)
class FolderInfo:
    kind: str  # as stat says: "directory", "regular file"
    group: str
    mode: int  # permission bits


@dataclass(frozen=True)
class UnixGroups:
    programs: Programs
    wrappers_dir: str
    sudo: str

    def account_exists(self, name: str) -> bool:
        try:
            pwd.getpwnam(name)
        except KeyError:
            return False
        return True

    def members(self, names: Iterable[str]) -> dict[str, frozenset[str] | None]:
        """Who is in each of these groups; None where there is no such group."""
        return {name: _members(name) for name in names}

    def change(self, *, group: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
        """Makes the group where it is not there. All of it or nothing. Raises GroupRefused, ClusterUnreachable."""
        request = json.dumps({"group": group, "add": list(add), "remove": list(remove)})
        vector = [self.sudo, "-n", "-u", "root", "--", f"{self.wrappers_dir}/groups"]
        answer = self.programs.ask_vector(vector, timeout_s=_TIMEOUT_S, stdin=request)
        if answer.code:
            words = " ".join((answer.error or answer.out).split())[:300]
            raise GroupRefused(words or f"groups: ended with status {answer.code}")

    def folders(self, paths: Sequence[str]) -> dict[str, FolderInfo]:
        """What lies at these paths, as the worker's own user sees it; a path that shows nothing is left out.

        Raises ClusterUnreachable where the file system does not answer.
        """
        if not paths:
            return {}
        vector = ["/usr/bin/stat", f"--format={_FORMAT}", "--", *paths]
        answer = self.programs.ask_untrusted(vector, stdin=b"", limit_bytes=_LOOK_BYTES, timeout_s=_LOOK_TIMEOUT_S)
        found = {}
        for line in answer.out.decode(errors="replace").splitlines():
            path, kind, group, mode = line.rsplit("|", 3)
            found[path] = FolderInfo(kind, group, int(mode, 8))
        return found


def unix_groups_for(cluster_name: str) -> UnixGroups:
    """Raises ClusterError in a process that was not told how to reach this cluster (SLURM in its environment file)."""
    how = settings.SLURM.get(cluster_name)
    if not how:
        raise ClusterError(f"This process was not told how to reach cluster {cluster_name} (SLURM in its environment).")
    programs = Programs(slurm_conf=how["slurm_conf"], accounting_lock=how["accounting_lock"], bin_dir=how["bin_dir"])
    return UnixGroups(programs, how["wrappers_dir"], how["sudo"])


def _members(name: str) -> frozenset[str] | None:
    try:
        return frozenset(grp.getgrnam(name).gr_mem)
    except KeyError:
        return None
