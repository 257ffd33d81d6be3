"""What Prometheus saw of every run, in PostgreSQL: windows of time, runs by day, and sums by day."""
