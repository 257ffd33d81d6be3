#!/bin/bash
@{options}
# Benchmarks of lm-evaluation-harness, which knows one node only.
model=@{model}
tasks=@{tasks}
shots=@{shots}
batch=@{batch}
placement=@{placement}
arguments=@{arguments}
workdir=@{workdir}
run_name=@{run_name}

@{folders}

@{environment}

@{launch}

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
