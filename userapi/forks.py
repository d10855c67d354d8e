"""Database connections and `fork`: a child never uses its parent's."""

import os

from django.db import connections
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite

# Kept, because closing them here would end the parent's sessions in PostgreSQL.
_inherited: list[object] = []


def install() -> None:
    """Let every process that is forked from now on begin without connections."""
    os.register_at_fork(after_in_child=forget_connections)


def forget_connections() -> None:
    """Give this thread new connections and this process new pools; the present ones stay as they are."""
    for connection in connections.all():
        # A database in memory is its connection: there is no other way to reach it.
        if isinstance(connection, SQLite) and connection.is_in_memory_db():
            continue
        pools = getattr(connection, "_connection_pools", {})  # Django has no public name for them
        _inherited.extend((connection, pools.pop(connection.alias, None)))
        del connections[connection.alias]
