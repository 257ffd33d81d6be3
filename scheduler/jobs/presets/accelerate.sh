#!/bin/bash
@{options}
# A program of one's own under accelerate launch.
program=@{program}
arguments=@{arguments}
workdir=@{workdir}
run_name=@{run_name}
config=@{config}
mixed_precision=@{mixed_precision}

@{folders}

@{environment}

@{launch}

# Accelerate takes one of the two, and refuses --multi_gpu for a single process.
strategy=()
if [ -n "$config" ]; then
    strategy=(--config_file "$config")
elif [ "$gpus" -gt 1 ]; then
    strategy=(--multi_gpu)
fi
run "${launcher[@]}" "${strategy[@]}" --mixed_precision "$mixed_precision" "$program" "${arguments[@]}"
