#!/bin/bash
# >>> saola: written by the portal from the form, changes here are replaced >>>
#SBATCH --job-name="train"
#SBATCH --account=sl-team
#SBATCH --qos=sl-team-h100-x
#SBATCH --partition=h100
#SBATCH --nodes=1
#SBATCH --gres=gpu:h100:8
#SBATCH --time=02:00:00
export SLURM_EXPORT_ENV=ALL
# JupyterLab on a GPU. It listens on the node's own address only; ssh brings it to your computer.
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
# 1 × 8 h100 GPUs; tasks per node: 1; 64 CPUs and 937 GiB of memory per node.
nodes=1
gpus_per_node=8
cpus_per_node=64
cpus_per_gpu=$((cpus_per_node > gpus_per_node ? cpus_per_node / gpus_per_node : 1))
MASTER_ADDR="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed -n 1p)"
MASTER_PORT=$((20000 + SLURM_JOB_ID % 10000))
export MASTER_ADDR MASTER_PORT
export OMP_NUM_THREADS="$cpus_per_gpu"
export NCCL_DEBUG="${NCCL_DEBUG:-WARN}"
export TORCH_NCCL_ASYNC_ERROR_HANDLING=1
step=(srun --nodes="$nodes" --ntasks=1 --ntasks-per-node=1
    --cpus-per-task="$cpus_per_node" --kill-on-bad-exit=1 "${container[@]}")
run() { "${step[@]}" "${inside[@]}" "$@"; }
# ----
# <<< saola <<<

# The token lies in a file that only you can read: not in the log, nor in the list of processes.
export JUPYTER_TOKEN_FILE="$HOME/.saola/jupyter-$SLURM_JOB_ID.token"
(umask 077 && mkdir -p "$HOME/.saola" && od -An -N24 -tx1 /dev/urandom | tr -d ' \n' > "$JUPYTER_TOKEN_FILE")
trap 'rm -f "$JUPYTER_TOKEN_FILE"' EXIT

port="$MASTER_PORT"
login="${SAOLA_LOGIN:-LOGIN-HOST}"
tunnel="ssh -N -L $port:127.0.0.1:$port -J $(id -un)@$login $(id -un)@$MASTER_ADDR"
echo "$tunnel" > "$SLURM_SUBMIT_DIR/tunnel.txt"  # the job's page shows it
echo "On your own computer:"
echo "    $tunnel"
echo "    ssh $(id -un)@$login cat $JUPYTER_TOKEN_FILE"
echo "then open http://127.0.0.1:$port/lab and give the token that the second line shows."

run jupyter lab --no-browser --ip=127.0.0.1 --port="$port" --ServerApp.port_retries=0 --ServerApp.root_dir="$PWD" \
    "${arguments[@]}"
