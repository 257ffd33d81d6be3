"""GPUs where there are none: an NVML library of our own (C, built by the set-up) and what its GPUs are like (data)."""
