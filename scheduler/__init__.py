"""From an allocation to a Slurm limit, from a form to a job, from an accounting record to a charge."""
