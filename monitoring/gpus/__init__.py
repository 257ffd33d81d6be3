"""What the GPUs of one job do while it runs, and what came of them: parts of the job's page."""
