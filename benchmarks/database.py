"""A database of a benchmark's own, on the server of DATABASE_URL, whose role must be allowed to create one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections
from psycopg import sql


@contextmanager
def own_database(purpose: str) -> Iterator[str]:
    """Creates and migrates it, makes it Django's default, answers its name, and drops it at the end."""
    given = connection.get_connection_params()
    name = f"bench_{purpose}_{os.getpid()}"
    with psycopg.connect(**{**given, "autocommit": True}) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        settings.DATABASES["default"]["NAME"] = connection.settings_dict["NAME"] = name
        try:
            call_command("migrate", verbosity=0)
            yield name
        finally:
            connections.close_all()
            drop = sql.SQL("DROP DATABASE {}").format(sql.Identifier(name))
            try:
                server.execute(drop + sql.SQL(" WITH (FORCE)"))
            except psycopg.errors.InsufficientPrivilege:  # an autovacuum is there, which gives way to a plain one
                server.execute(drop)
