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
# Benchmarks of lm-evaluation-harness, which knows one node only.
model=Qwen/Qwen2.5-7B
tasks=arc_easy,hellaswag
shots=''
batch=auto
placement=copies
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
gpus="$((nodes * gpus_per_node))"
launcher=(bash -c 'exec accelerate launch --machine_rank "$SLURM_NODEID" "$@"' accelerate
    --num_machines "$nodes" --num_processes "$gpus" --num_cpu_threads_per_process "$cpus_per_gpu"
    --dynamo_backend no --main_process_ip "$MASTER_ADDR" --main_process_port "$MASTER_PORT")
step=(srun --nodes="$nodes" --ntasks=1 --ntasks-per-node=1
    --cpus-per-task="$cpus_per_node" --kill-on-bad-exit=1 "${container[@]}")
run() { "${step[@]}" "${inside[@]}" "$@"; }
# ----
# <<< saola <<<

evaluation=(--tasks "$tasks" --batch_size "${batch:-auto}" --output_path "$output")
if [ -n "$shots" ]; then evaluation+=(--num_fewshot "$shots"); fi
if [ "$placement" = split ]; then
    # Outside the launcher: one process, which lays the model over all GPUs that it sees.
    run python3 -m lm_eval --model hf --model_args "pretrained=$model,dtype=auto,parallelize=True" \
        "${evaluation[@]}" "${arguments[@]}"
else
    strategy=()
    if [ "$gpus" -gt 1 ]; then strategy=(--multi_gpu); fi
    run "${launcher[@]}" "${strategy[@]}" --module lm_eval --model hf --model_args "pretrained=$model,dtype=auto" \
        "${evaluation[@]}" "${arguments[@]}"
fi
