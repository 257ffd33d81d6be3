"""The lines that start a preset's processes, written from the shape.

They define, for the preset's own lines below: `launcher`, an array that stands before a Python program (a single task
has none); `run`, which runs a command as one step of the job on every node, inside the environment; and what the
processes find in their environment.
"""

from collections.abc import Callable
from dataclasses import dataclass

from scheduler.jobs.presets.values import word

FIRST_PORT = 20000  # below the range from which Linux gives out ports (32768), above what services listen on
PORTS = 10000


@dataclass(frozen=True)
class Launch:
    """`cpus_per_gpu`, `memory_mb_per_gpu`: None where the portal does not know them. `lead_s`: 0 without a signal."""

    kind: str
    nodes: int
    gpus_per_node: int
    gpu_type: str
    cpus_per_gpu: int | None
    memory_mb_per_gpu: int | None
    lead_s: int
    restarts: int

    @property
    def gpus(self) -> int:
        return self.nodes * self.gpus_per_node

    @property
    def tasks_per_node(self) -> int:
        """One where a launcher starts the processes of its node itself: two levels of it would start GPUs² of them."""
        return self.gpus_per_node if self.kind == "srun" else 1


def launch_lines(launch: Launch) -> list[str]:
    """The block, of any kind but "none"."""
    return [
        *_figures(launch),
        *_rendezvous(launch),
        *_libraries(),
        *_LAUNCHERS[launch.kind](launch),
        *_step(launch),
        *(_run_with_checkpoint(launch) if launch.lead_s else _run()),
    ]


def _figures(launch: Launch) -> list[str]:
    if launch.cpus_per_gpu is None or launch.memory_mb_per_gpu is None:
        cpus = '"$SLURM_CPUS_ON_NODE"'
        given = "CPUs and memory: what Slurm gives beside the GPUs"
    else:
        cpus = str(launch.cpus_per_gpu * launch.gpus_per_node)
        memory_gb = launch.memory_mb_per_gpu * launch.gpus_per_node // 1024
        given = f"{cpus} CPUs and {memory_gb} GiB of memory per node"
    shape = f"{launch.nodes} × {launch.gpus_per_node} {word(launch.gpu_type)} GPUs"
    return [
        "# ---- Derived from the shape; change the shape in the form, not here.",
        f"# {shape}; tasks per node: {launch.tasks_per_node}; {given}.",
        f"nodes={launch.nodes}",
        f"gpus_per_node={launch.gpus_per_node}",
        f"cpus_per_node={cpus}",
        "cpus_per_gpu=$((cpus_per_node > gpus_per_node ? cpus_per_node / gpus_per_node : 1))",
    ]


def _rendezvous(launch: Launch) -> list[str]:
    # The port follows the job's id, so that two jobs that share a node do not meet.
    return [
        'MASTER_ADDR="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed -n 1p)"',
        f"MASTER_PORT=$(({FIRST_PORT} + SLURM_JOB_ID % {PORTS}))",
        "export MASTER_ADDR MASTER_PORT",
    ]


def _libraries() -> list[str]:
    # WARN says why NCCL failed and nothing else. The second ends a process whose peers are gone (PyTorch's default
    # since 2.2, said for older ones), instead of letting it hold GPUs until the time limit. Interfaces and fabrics
    # are the site's to set, in a module or /etc/profile.d.
    return [
        'export OMP_NUM_THREADS="$cpus_per_gpu"',
        'export NCCL_DEBUG="${NCCL_DEBUG:-WARN}"',
        "export TORCH_NCCL_ASYNC_ERROR_HANDLING=1",
    ]


def _torchrun(launch: Launch) -> list[str]:
    # On one node a free port is found by itself; on several, all meet at the first one's.
    endpoint = '"$MASTER_ADDR:$MASTER_PORT"' if launch.nodes > 1 else "localhost:0"
    return [
        'launcher=(torchrun --nnodes="$nodes" --nproc-per-node="$gpus_per_node"',
        f'    --rdzv-id="$SLURM_JOB_ID" --rdzv-backend=c10d --rdzv-endpoint={endpoint})',
    ]


def _accelerate(launch: Launch) -> list[str]:
    # Several nodes meet as torchrun's do. The rank of a node is known on it only.
    meeting = " --rdzv_backend c10d" if launch.nodes > 1 else ""
    return [
        'gpus="$((nodes * gpus_per_node))"',
        'launcher=(bash -c \'exec accelerate launch --machine_rank "$SLURM_NODEID" "$@"\' accelerate',
        '    --num_machines "$nodes" --num_processes "$gpus" --num_cpu_threads_per_process "$cpus_per_gpu"',
        f'    --dynamo_backend no --main_process_ip "$MASTER_ADDR" --main_process_port "$MASTER_PORT"{meeting})',
    ]


def _task(_launch: Launch) -> list[str]:
    return []


def _srun(_launch: Launch) -> list[str]:
    # A task for each GPU: each sees all GPUs of its node, which NCCL needs, and takes the one of its local rank.
    return [
        'launcher=(bash -c \'export RANK="$SLURM_PROCID" LOCAL_RANK="$SLURM_LOCALID" WORLD_SIZE="$SLURM_NTASKS"',
        '    exec "$@"\' task)',
    ]


_LAUNCHERS: dict[str, Callable[[Launch], list[str]]] = {
    "torchrun": _torchrun,
    "accelerate": _accelerate,
    "task": _task,
    "srun": _srun,
}


def _step(launch: Launch) -> list[str]:
    per_task = "$cpus_per_gpu" if launch.tasks_per_node > 1 else "$cpus_per_node"
    # Since 22.05 srun takes no CPUs per task from the job. One task that fails ends the step: the others would wait.
    return [
        f'step=(srun --nodes="$nodes" --ntasks={launch.nodes * launch.tasks_per_node}'
        f" --ntasks-per-node={launch.tasks_per_node}",
        f'    --cpus-per-task="{per_task}" --kill-on-bad-exit=1 "${{container[@]}}")',
    ]


def _run() -> list[str]:
    return ['run() { "${step[@]}" "${inside[@]}" "$@"; }', "# ----"]


def _run_with_checkpoint(launch: Launch) -> list[str]:
    """`run` in the background: bash handles a signal only between commands, and `wait` is one that it interrupts.

    In the tasks USR1 is ignored to begin with, by everything that has no handler of its own: torchrun has none, and
    would end at it. srun passes it on to all processes of the step.
    """
    deadline_s = launch.lead_s * 4 // 5
    return [
        f"restarts={launch.restarts}",
        "asked=0",
        "step_pid=",
        "timer_pid=",
        "# The job begins anew under its own id, at most so many times; a cluster that does not allow it says so.",
        "again() {",
        '    if [ "${SLURM_RESTART_COUNT:-0}" -lt "$restarts" ]; then',
        '        echo "checkpoint: back into the queue, to go on from the last one"',
        '        scontrol requeue "$SLURM_JOB_ID"',
        "    fi",
        "}",
        f"# Slurm sends USR1 to this shell {launch.lead_s} s before the time limit. A program that handles it saves",
        "# its state and ends; one that does not goes on, and continues from the checkpoint that it last wrote.",
        "# Only the trap calls it.",
        "# shellcheck disable=SC2317",
        "checkpoint() {",
        "    asked=1",
        '    echo "checkpoint: the time limit is near"',
        '    if [ -n "$step_pid" ]; then kill -USR1 "$step_pid" || true; fi',
        f"    (sleep {deadline_s} > /dev/null 2>&1 && again) &",
        "    timer_pid=$!",
        "}",
        "trap checkpoint USR1",
        "run() {",
        "    local code=0",
        '    "${step[@]}" bash -c \'trap "" USR1; exec "$@"\' task "${inside[@]}" "$@" &',
        "    step_pid=$!",
        '    wait "$step_pid" || code=$?',
        '    while kill -0 "$step_pid" 2> /dev/null; do',
        "        code=0",
        '        wait "$step_pid" || code=$?',
        "    done",
        '    if [ "$asked" = 1 ]; then',
        "        code=0",
        '        wait "$step_pid" || code=$?  # the first wait may have seen the signal, not the end',
        '        kill "$timer_pid" 2> /dev/null || true',
        "        again",
        "    fi",
        '    return "$code"',
        "}",
        "# ----",
    ]
