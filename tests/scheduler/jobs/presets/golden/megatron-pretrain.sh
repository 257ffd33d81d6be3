#!/bin/bash
# >>> saola: written by the portal from the form, changes here are replaced >>>
#SBATCH --job-name="train"
#SBATCH --account=sl-team
#SBATCH --qos=sl-team-h100-x
#SBATCH --partition=h100
#SBATCH --nodes=2
#SBATCH --gres=gpu:h100:8
#SBATCH --time=02:00:00
#SBATCH --signal=B:USR1@900
#SBATCH --requeue
#SBATCH --open-mode=append
export SLURM_EXPORT_ENV=ALL
# Megatron-LM: pre-training of a model of Llama's kind.
data=/data/corpus_text_document
tokenizer=meta-llama/Llama-3.1-8B
layers=32
hidden=4096
heads=32
sequence=4096
tensor_parallel=1
pipeline_parallel=1
micro_batch=1
global_batch=256
iterations=10000
learning_rate=3e-4
save_interval=500
arguments=(--note 'hai từ' --seed 7)
workdir=Megatron-LM
run_name=''
exit_minutes=110

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
# Slurm sends USR1 to this shell 900 s before the time limit. A program that handles it saves
# its state and ends; one that does not goes on, and continues from the checkpoint that it last wrote.
# Only the trap calls it.
# shellcheck disable=SC2317
checkpoint() {
    asked=1
    echo "checkpoint: the time limit is near"
    if [ -n "$step_pid" ]; then kill -USR1 "$step_pid" || true; fi
    (sleep 720 > /dev/null 2>&1 && again) &
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

# What tensor and sequence parallelism want on GPUs up to Hopper.
export CUDA_DEVICE_MAX_CONNECTIONS=1

model=(--num-layers "$layers" --hidden-size "$hidden" --num-attention-heads "$heads"
    --seq-length "$sequence" --max-position-embeddings "$sequence" --position-embedding-type rope
    --swiglu --normalization RMSNorm --disable-bias-linear --untie-embeddings-and-output-weights)
parallel=(--tensor-model-parallel-size "$tensor_parallel" --pipeline-model-parallel-size "$pipeline_parallel"
    --use-distributed-optimizer)
if [ "$tensor_parallel" -gt 1 ]; then parallel+=(--sequence-parallel); fi
training=(--bf16 --micro-batch-size "$micro_batch" --global-batch-size "$global_batch" --train-iters "$iterations"
    --lr "$learning_rate" --lr-decay-style cosine --lr-warmup-fraction 0.01 --weight-decay 0.1 --clip-grad 1.0)
inputs=(--data-path "$data" --split "990,8,2" --data-cache-path "$project_dir/cache/megatron"
    --tokenizer-type HuggingFaceTokenizer --tokenizer-model "$tokenizer")
# --load finds what --save wrote; the first start finds nothing and begins anew. Megatron ends by itself, with a
# checkpoint, after so many minutes: it does not know the signal.
saving=(--save "$output" --load "$output" --save-interval "$save_interval" --exit-duration-in-mins "$exit_minutes"
    --log-interval 10 --eval-interval 1000 --eval-iters 10 --tensorboard-dir "$output/tensorboard")

run "${launcher[@]}" pretrain_gpt.py "${model[@]}" "${parallel[@]}" "${training[@]}" "${inputs[@]}" "${saving[@]}" \
    "${arguments[@]}"
