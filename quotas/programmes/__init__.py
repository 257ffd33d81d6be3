"""Programmes, their budgets by GPU type, and their ledger pools."""
