#!/bin/bash
@{options}
# LoRA: small adapters of an open model, with TRL and PEFT.
model=@{model}
dataset=@{dataset}
learning_rate=@{learning_rate}
epochs=@{epochs}
batch_size=@{batch_size}
accumulation=@{accumulation}
max_length=@{max_length}
save_steps=@{save_steps}
rank=@{rank}
alpha=@{alpha}
quantisation=@{quantisation}
arguments=@{arguments}
workdir=@{workdir}
run_name=@{run_name}

@{folders}

@{environment}

@{launch}

# Each GPU has a whole copy of the frozen weights. Accelerate refuses --multi_gpu for a single process.
strategy=()
if [ "$gpus" -gt 1 ]; then strategy=(--multi_gpu); fi
adapters=(--use_peft --lora_r "$rank" --lora_alpha "$alpha" --lora_target_modules all-linear)
if [ "$quantisation" != none ]; then adapters+=("--load_in_$quantisation" true); fi
run "${launcher[@]}" "${strategy[@]}" --module trl.scripts.sft --model_name_or_path "$model" --dataset_name "$dataset" \
    --learning_rate "$learning_rate" --num_train_epochs "$epochs" --max_length "$max_length" \
    --per_device_train_batch_size "$batch_size" --gradient_accumulation_steps "$accumulation" \
    --gradient_checkpointing true --bf16 true --logging_steps 10 --save_strategy steps --save_steps "$save_steps" \
    --save_total_limit 2 --report_to none --output_dir "$output" "${adapters[@]}" "${arguments[@]}"
