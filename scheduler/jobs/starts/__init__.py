"""When a job would start: for a shape that is not submitted, and for one that waits."""
