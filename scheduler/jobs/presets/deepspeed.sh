#!/bin/bash
@{options}
# DeepSpeed. Its own launcher reaches other nodes by ssh; torchrun is started on each by srun and needs none.
program=@{program}
arguments=@{arguments}
workdir=@{workdir}
run_name=@{run_name}
config=@{config}
option=@{option}

@{folders}

@{environment}

@{launch}

given=(--deepspeed)
if [ "$option" = --deepspeed_config ]; then given+=(--deepspeed_config); fi
run "${launcher[@]}" "$program" "${given[@]}" "$config" "${arguments[@]}"
