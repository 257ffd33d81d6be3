"""A job's way in the cluster's worker: submitted, followed, covered, ended."""
