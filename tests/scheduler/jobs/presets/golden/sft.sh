#!/bin/bash
# >>> saola: written by the portal from the form, changes here are replaced >>>
#SBATCH --job-name="train"
#SBATCH --account=sl-team
#SBATCH --qos=sl-team-h100-x
#SBATCH --partition=h100
#SBATCH --nodes=2
#SBATCH --gres=gpu:h100:8
#SBATCH --time=02:00:00
export SLURM_EXPORT_ENV=ALL
# Supervised fine-tuning of all weights of an open model, with TRL.
model=Qwen/Qwen2.5-7B
dataset=trl-lib/Capybara
learning_rate=2e-5
epochs=1
batch_size=2
accumulation=8
max_length=2048
save_steps=500
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
gpus="$((nodes * gpus_per_node))"
launcher=(bash -c 'exec accelerate launch --machine_rank "$SLURM_NODEID" "$@"' accelerate
    --num_machines "$nodes" --num_processes "$gpus" --num_cpu_threads_per_process "$cpus_per_gpu"
    --dynamo_backend no --main_process_ip "$MASTER_ADDR" --main_process_port "$MASTER_PORT" --rdzv_backend c10d)
step=(srun --nodes="$nodes" --ntasks=2 --ntasks-per-node=1
    --cpus-per-task="$cpus_per_node" --kill-on-bad-exit=1 "${container[@]}")
run() { "${step[@]}" "${inside[@]}" "$@"; }
# ----
# <<< saola <<<

# The model, its gradients and the optimiser's state are shared out over all GPUs. The full state is what Transformers
# can save as a model that others can load.
strategy=()
if [ "$gpus" -gt 1 ]; then
    strategy=(--use_fsdp --fsdp_auto_wrap_policy TRANSFORMER_BASED_WRAP --fsdp_state_dict_type FULL_STATE_DICT)
fi
run "${launcher[@]}" "${strategy[@]}" --module trl.scripts.sft --model_name_or_path "$model" --dataset_name "$dataset" \
    --learning_rate "$learning_rate" --num_train_epochs "$epochs" --max_length "$max_length" \
    --per_device_train_batch_size "$batch_size" --gradient_accumulation_steps "$accumulation" \
    --gradient_checkpointing true --bf16 true --logging_steps 10 --save_strategy steps --save_steps "$save_steps" \
    --save_total_limit 2 --report_to none --output_dir "$output" "${arguments[@]}"
