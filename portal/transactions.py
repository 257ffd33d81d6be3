"""Transactions that are there already."""

from contextlib import AbstractContextManager, nullcontext

from django.db import connection, transaction


def in_transaction() -> AbstractContextManager[None]:
    """The caller's transaction where there is one, else one of its own.

    For what a savepoint would protect nothing of, because at most its last statement writes: `atomic` would send two
    statements more. An error leaves the caller's transaction as it is.
    """
    return nullcontext() if connection.in_atomic_block else transaction.atomic()
