#!/bin/bash
# Where am I, who am I, and which GPUs did Slurm give me?
echo "host: $(hostname)"
echo "user: $(id -un)"
echo "CUDA_VISIBLE_DEVICES: ${CUDA_VISIBLE_DEVICES:-none}"

# The same from a task: srun starts one task on each node.
srun bash -c 'echo "task ${SLURM_PROCID} on ${SLURMD_NODENAME}: CUDA_VISIBLE_DEVICES=${CUDA_VISIBLE_DEVICES:-none}"'

sleep 5
echo "done"
