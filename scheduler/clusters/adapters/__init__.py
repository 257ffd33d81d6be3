"""Adapters to a cluster's Slurm, behind one protocol. Only worker processes and management commands call them."""
