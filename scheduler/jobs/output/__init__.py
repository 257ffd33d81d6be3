"""What a job wrote and used, as its page shows it."""
