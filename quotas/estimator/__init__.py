"""What a training, a fine-tuning or an evaluation takes: FLOPs, GPU-hours, VND, time. Pure: no table, no query."""
