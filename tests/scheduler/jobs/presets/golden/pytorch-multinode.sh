#!/bin/bash
# >>> saola: written by the portal from the form, changes here are replaced >>>
#SBATCH --job-name="train"
#SBATCH --account=sl-team
#SBATCH --qos=sl-team-h100-x
#SBATCH --partition=h100
#SBATCH --nodes=2
#SBATCH --gres=gpu:h100:8
#SBATCH --time=02:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
export SLURM_EXPORT_ENV=ALL
# PyTorch on several nodes: one torchrun on each, which start a process for each GPU.
program=train.py
arguments=(--note 'hai từ' --seed 7)
workdir=''
run_name=''

set -eo pipefail
project_dir="${SAOLA_PROJECTS:-$HOME/saola}"/tieng-viet
output="$SLURM_SUBMIT_DIR"
if [ -n "$run_name" ]; then output="$project_dir/runs/$run_name"; fi
export HF_HOME="$project_dir/cache/huggingface"
export HF_TOKEN_PATH="${HF_TOKEN_PATH:-$HOME/.cache/huggingface/token}"
mkdir -p "$output" "$HF_HOME"
if [ -n "$workdir" ]; then cd -- "$workdir"; fi
echo "results: $output"

container=()
inside=()

# ---- Derived from the shape; change the shape in the form, not here.
# 2 × 8 h100 GPUs; tasks per node: 1; 64 CPUs and 937 GiB of memory per node.
nodes=2
gpus_per_node=8
cpus_per_node=64
cpus_per_gpu=$((cpus_per_node > gpus_per_node ? cpus_per_node / gpus_per_node : 1))
MASTER_ADDR="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed -n 1p)"
MASTER_PORT=$((20000 + SLURM_JOB_ID % 10000))
export MASTER_ADDR MASTER_PORT
export OMP_NUM_THREADS="$cpus_per_gpu"
export NCCL_DEBUG="${NCCL_DEBUG:-WARN}"
export TORCH_NCCL_ASYNC_ERROR_HANDLING=1
launcher=(torchrun --nnodes="$nodes" --nproc-per-node="$gpus_per_node"
    --rdzv-id="$SLURM_JOB_ID" --rdzv-backend=c10d --rdzv-endpoint="$MASTER_ADDR:$MASTER_PORT")
step=(srun --nodes="$nodes" --ntasks=2 --ntasks-per-node=1
    --cpus-per-task="$cpus_per_node" --kill-on-bad-exit=1 "${container[@]}")
restarts=3
asked=0
step_pid=
timer_pid=
# The job begins anew under its own id, at most so many times; a cluster that does not allow it says so.
again() {
    if [ "${SLURM_RESTART_COUNT:-0}" -lt "$restarts" ]; then
        echo "checkpoint: back into the queue, to go on from the last one"
        scontrol requeue "$SLURM_JOB_ID"
    fi
}
# Slurm sends USR1 to this shell 300 s before the time limit. A program that handles it saves
# its state and ends; one that does not goes on, and continues from the checkpoint that it last wrote.
# Only the trap calls it.
# shellcheck disable=SC2317
checkpoint() {
    asked=1
    echo "checkpoint: the time limit is near"
    if [ -n "$step_pid" ]; then kill -USR1 "$step_pid" || true; fi
    (sleep 240 > /dev/null 2>&1 && again) &
    timer_pid=$!
}
trap checkpoint USR1
run() {
    local code=0
    "${step[@]}" bash -c 'trap "" USR1; exec "$@"' task "${inside[@]}" "$@" &
    step_pid=$!
    wait "$step_pid" || code=$?
    while kill -0 "$step_pid" 2> /dev/null; do
        code=0
        wait "$step_pid" || code=$?
    done
    if [ "$asked" = 1 ]; then
        code=0
        wait "$step_pid" || code=$?  # the first wait may have seen the signal, not the end
        kill "$timer_pid" 2> /dev/null || true
        again
    fi
    return "$code"
}
# ----
# <<< saola <<<

run "${launcher[@]}" "$program" "${arguments[@]}"
