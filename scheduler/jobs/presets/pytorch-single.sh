#!/bin/bash
@{options}
# PyTorch on one node: torchrun starts one process for each GPU.
program=@{program}
arguments=@{arguments}
workdir=@{workdir}
run_name=@{run_name}

@{folders}

@{environment}

@{launch}

run "${launcher[@]}" "$program" "${arguments[@]}"
