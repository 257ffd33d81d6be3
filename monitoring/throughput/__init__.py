"""FLOPs that came out of GPUs, as a range: pure formulas over the peak table. No database, no Prometheus."""
