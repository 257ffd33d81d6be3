"""What a person asks of a job that is in Slurm, and how it is carried out."""
