#!/bin/bash
# >>> saola: written by the portal from the form, changes here are replaced >>>
#SBATCH --job-name="train"
#SBATCH --account=sl-team
#SBATCH --qos=sl-team-h100-x
#SBATCH --partition=h100
#SBATCH --nodes=2
#SBATCH --gres=gpu:h100:8
#SBATCH --time=02:00:00
export SLURM_EXPORT_ENV=ALL
# <<< saola <<<
# Where am I, who am I, and which GPUs did Slurm give me?
echo "host: $(hostname)"
echo "user: $(id -un)"
echo "CUDA_VISIBLE_DEVICES: ${CUDA_VISIBLE_DEVICES:-none}"

# The same from a task: srun starts one task on each node.
srun bash -c 'echo "task ${SLURM_PROCID} on ${SLURMD_NODENAME}: CUDA_VISIBLE_DEVICES=${CUDA_VISIBLE_DEVICES:-none}"'

sleep 5
echo "done"
