#!/bin/bash
@{options}
# Megatron-LM: pre-training of a model of Llama's kind.
data=@{data}
tokenizer=@{tokenizer}
layers=@{layers}
hidden=@{hidden}
heads=@{heads}
sequence=@{sequence}
tensor_parallel=@{tensor_parallel}
pipeline_parallel=@{pipeline_parallel}
micro_batch=@{micro_batch}
global_batch=@{global_batch}
iterations=@{iterations}
learning_rate=@{learning_rate}
save_interval=@{save_interval}
arguments=@{arguments}
workdir=@{workdir}
run_name=@{run_name}
exit_minutes=@{exit_minutes}

@{folders}

@{environment}

@{launch}

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
