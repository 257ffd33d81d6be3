"""The running test stack from outside: its web pages, its commands, its Slurm, its processes being killed."""
