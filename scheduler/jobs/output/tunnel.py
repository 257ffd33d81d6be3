"""How somebody reaches what their job serves: the ssh command that the job itself wrote down (presets/jupyter.sh).

What a job writes is its owner's, who may have been led to run somebody else's script, and a command from a page is
pasted into a shell: so it is taken apart, each part is checked, and the page puts it together again.
"""

import re
from dataclasses import dataclass

from scheduler.jobs.presets.launch import FIRST_PORT, PORTS

FILE = "tunnel.txt"  # in the job's own folder
MOST_BYTES = 1_000
_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})){0,8}"
_USER = r"[a-z_][a-z0-9_-]{0,31}"
_COMMAND = re.compile(
    rf"ssh -N -L (\d{{5}}):127\.0\.0\.1:(\d{{5}}) -J ({_USER})@({_HOST}) ({_USER})@({_HOST})\n?", re.ASCII
)


@dataclass(frozen=True)
class Tunnel:
    unix_account: str
    login: str
    node: str
    port: int
    number: int  # Slurm's, of the job

    @property
    def command(self) -> str:
        here = f"{self.port}:127.0.0.1:{self.port}"
        return f"ssh -N -L {here} -J {self.unix_account}@{self.login} {self.unix_account}@{self.node}"

    @property
    def token_command(self) -> str:
        return f"ssh {self.unix_account}@{self.login} cat .saola/jupyter-{self.number}.token"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/lab"


def tunnel_of(text: str, *, unix_account: str, number: int) -> Tunnel | None:
    """None for anything but this job's command: its own port, to nobody else's account."""
    found = _COMMAND.fullmatch(text)
    if not found:
        return None
    port, same, jumps_as, login, goes_as, node = found.groups()
    own_port = FIRST_PORT + number % PORTS
    if {port, same} != {str(own_port)} or {jumps_as, goes_as} != {unix_account}:
        return None
    return Tunnel(unix_account, login, node, own_port, number)
