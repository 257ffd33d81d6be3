"""Durable side effects: a row in the transaction of its cause, a relay that delivers it."""
