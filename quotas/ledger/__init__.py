"""Accounts and transfers; pure: no Slurm, no HTTP, no Celery, nothing else of the project."""
