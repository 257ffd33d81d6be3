"""An organisation's application, and the two-person decision on it."""
