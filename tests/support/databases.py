"""Further databases in a test's own process."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections

from userapi.databases import database
from userapi.environment import Environment
from userapi.settings import BASE_DIR


@contextmanager
def connected(alias: str, url: str) -> Iterator[None]:
    """Let Django know the database at `url` by this name."""
    config = database(Environment({"DATABASE_URL": url}), BASE_DIR)
    defaults: dict[str, Any] = {"ATOMIC_REQUESTS": False, "AUTOCOMMIT": True, "TIME_ZONE": None, "TEST": {}}
    connections.databases[alias] = {**defaults, **config}
    try:
        yield
    finally:
        connections[alias].close()
        if connections[alias].vendor == "postgresql":
            connections[alias].close_pool()  # type: ignore[attr-defined]
        del connections.databases[alias]
        del connections[alias]
