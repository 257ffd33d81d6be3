"""Desired cluster state: plan, apply, read back."""
