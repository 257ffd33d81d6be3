"""A crowd at work on the running stack while everything under it dies: jobs, faults, and what must hold in the end."""
