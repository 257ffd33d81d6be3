"""Accounting records become charges; three numbers are reconciled."""
