#!/bin/bash
@{options}
# A program of one's own, started by srun itself.
command=@{command}
per=@{per}
workdir=@{workdir}
run_name=@{run_name}

@{folders}

@{environment}

@{launch}

# srun takes the last of two options. Each task for a GPU finds RANK, LOCAL_RANK and WORLD_SIZE, as under torchrun.
if [ "$per" = node ]; then step+=(--ntasks="$nodes" --ntasks-per-node=1 --cpus-per-task="$cpus_per_node"); fi
run "${launcher[@]}" "${command[@]}"
