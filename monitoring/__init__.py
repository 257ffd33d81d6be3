"""What was delivered, to whom, with source and bounds."""
