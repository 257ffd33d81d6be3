#!/bin/bash
@{options}
# PyTorch on several nodes: one torchrun on each, which start a process for each GPU.
program=@{program}
arguments=@{arguments}
workdir=@{workdir}
run_name=@{run_name}

@{folders}

@{environment}

@{launch}

run "${launcher[@]}" "$program" "${arguments[@]}"
