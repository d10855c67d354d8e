"""Database connections and `fork`: a child never uses its parent's."""

import os

from django.db import connections
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite

# Kept open, because closing them here would end the parent's sessions in PostgreSQL.
_inherited: list[object] = []


def install() -> None:
    """Make all processes forked from now on begin without connections."""
    os.register_at_fork(after_in_child=forget_connections)


def forget_connections() -> None:
    """Give this thread new connections and this process new pools, without closing the current ones."""
    for connection in connections.all():
        # An in-memory database exists only in its connection.
        if isinstance(connection, SQLite) and connection.is_in_memory_db():
            continue
        pools = getattr(connection, "_connection_pools", {})  # Django has no public name for them
        _inherited.extend((connection, pools.pop(connection.alias, None)))
        del connections[connection.alias]
