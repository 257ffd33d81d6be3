#!/bin/bash
@{options}
# Supervised fine-tuning of all weights of an open model, with TRL.
model=@{model}
dataset=@{dataset}
learning_rate=@{learning_rate}
epochs=@{epochs}
batch_size=@{batch_size}
accumulation=@{accumulation}
max_length=@{max_length}
save_steps=@{save_steps}
arguments=@{arguments}
workdir=@{workdir}
run_name=@{run_name}

@{folders}

@{environment}

@{launch}

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
