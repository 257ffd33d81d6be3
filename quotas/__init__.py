"""From a programme's budget to an allocation, on an exact ledger."""
