"""What was granted, held, consumed, remaining: pages, CSV, commands."""
