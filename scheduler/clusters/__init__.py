"""Clusters and the adapters that speak to their Slurm, behind one protocol."""
