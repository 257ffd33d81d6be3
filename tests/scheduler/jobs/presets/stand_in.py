#!/usr/bin/python3 -IS
"""Stands for what presets call: launchers, containers, srun, scontrol. Which one, its file's name says.

Each call leaves a JSON file in $RECORDS with its name, arguments and environment, and then does as much of the real one
as a script can see: srun starts the tasks, a launcher one process for each GPU with the ranks that the real one gives,
a container its command. The program that is launched at the end is `trainer`, which does what $TRAINER says.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

NAME = os.path.basename(sys.argv[0])
ARGUMENTS = sys.argv[1:]
RECORDS = Path(os.environ["RECORDS"])
PATIENCE_S = 30


def record(name: str, arguments: list[str], environment: dict[str, str]) -> None:
    path = RECORDS / f"{name}-{os.getpid()}-{len(list(RECORDS.iterdir()))}.json"
    text = json.dumps({"name": name, "argv": arguments, "env": environment})
    path.with_suffix(".part").write_text(text)
    path.with_suffix(".part").rename(path)


def options(arguments: list[str], *, valued: set[str] = frozenset()) -> tuple[dict[str, str], list[str]]:
    """Long options, written --name=value or, those in `valued`, --name value; and what follows them."""
    found: dict[str, str] = {}
    rest = list(arguments)
    while rest and rest[0].startswith("--"):
        name, equals, value = rest.pop(0)[2:].partition("=")
        found[name] = value if equals or name not in valued else rest.pop(0)
    return found, rest


def spawn(commands: list[tuple[list[str], dict[str, str]]]) -> int:
    """Side by side; the worst exit status. As srun does, USR1 goes on to every process of the step."""
    children: list[subprocess.Popen[bytes]] = []

    def forward(_signal: int, _frame: object) -> None:
        for child in children:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGUSR1)

    if NAME == "srun":
        signal.signal(signal.SIGUSR1, forward)
    children += [
        subprocess.Popen(command, env=os.environ | more, start_new_session=NAME == "srun") for command, more in commands
    ]
    codes = [child.wait() for child in children]
    return max(code if code >= 0 else 128 - code for code in codes)


def srun() -> int:
    given, command = options(ARGUMENTS)
    tasks, per_node = int(given["ntasks"]), int(given["ntasks-per-node"])
    assert tasks == int(given["nodes"]) * per_node
    return spawn(
        [
            (
                command,
                {
                    "SLURM_NTASKS": str(tasks),
                    "SLURM_PROCID": str(rank),
                    "SLURM_LOCALID": str(rank % per_node),
                    "SLURM_NODEID": str(rank // per_node),
                },
            )
            for rank in range(tasks)
        ]
    )


def launch(nodes: int, per_node: int, node: int, address: str, program: list[str]) -> int:
    return spawn(
        [
            (
                ["trainer", *program],
                {
                    "WORLD_SIZE": str(nodes * per_node),
                    "RANK": str(node * per_node + local),
                    "LOCAL_RANK": str(local),
                    "LOCAL_WORLD_SIZE": str(per_node),
                    "MASTER_ADDR": address,
                },
            )
            for local in range(per_node)
        ]
    )


def torchrun() -> int:
    given, program = options(ARGUMENTS)
    address = given["rdzv-endpoint"].rpartition(":")[0]
    node = int(os.environ["SLURM_NODEID"])  # the real one learns it at the rendezvous
    return launch(int(given["nnodes"]), int(given["nproc-per-node"]), node, address, program)


def accelerate() -> int:
    valued = {"machine_rank", "num_machines", "num_processes", "num_cpu_threads_per_process", "dynamo_backend"}
    valued |= {"main_process_ip", "main_process_port", "rdzv_backend", "mixed_precision", "config_file"}
    valued |= {"fsdp_auto_wrap_policy", "fsdp_state_dict_type"}
    assert ARGUMENTS[0] == "launch"
    given, program = options(ARGUMENTS[1:], valued=valued)
    nodes, processes = int(given["num_machines"]), int(given["num_processes"])
    strategies = {"multi_gpu", "use_fsdp"} & set(given)
    # As the real one refuses it.
    assert len(strategies) <= 1
    assert not ("multi_gpu" in strategies and processes < 2)
    rank = int(given["machine_rank"])
    return launch(nodes, processes // nodes, rank, given["main_process_ip"], program)


def apptainer() -> int:
    given, rest = options(ARGUMENTS[1:], valued={"pwd", "bind"})
    assert ARGUMENTS[0] == "exec"
    assert "nv" in given
    os.execvp(rest[1], rest[1:])  # noqa: S606  # rest[0] is the image


def scontrol() -> int:
    if ARGUMENTS[:2] == ["show", "hostnames"]:
        print("\n".join(ARGUMENTS[2].split(",")))
    return 0


def conda() -> int:
    if ARGUMENTS == ["shell.bash", "hook"]:
        print('conda() { command conda "$@"; }')
    return 0


def jupyter() -> int:
    token = Path(os.environ["JUPYTER_TOKEN_FILE"])
    seen = {"mode": f"{token.stat().st_mode & 0o777:o}", "token": token.read_text()}
    record("token", [], seen)
    return 0


def trainer() -> int:
    told: list[int] = []
    if os.environ.get("TRAINER") == "saves":
        signal.signal(signal.SIGUSR1, lambda *_: told.append(1))
    record("ready", [], {})
    if os.environ.get("TRAINER") == "fails":
        return 3
    if "TRAINER" in os.environ:
        until = time.monotonic() + PATIENCE_S
        while not told and not (RECORDS / "release").exists() and time.monotonic() < until:
            time.sleep(0.01)
        if told:
            record("saved", [], {})
    return 0


def nothing() -> int:
    return 0


if __name__ == "__main__":
    record(NAME, ARGUMENTS, dict(os.environ))
    sys.exit(globals().get(NAME, nothing)())
