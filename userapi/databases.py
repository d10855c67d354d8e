"""DATABASE_URL turned into Django's DATABASES entry for SQLite or PostgreSQL, tuned for several workers."""

import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ

from userapi.environment import Environment

ACCEPTED = "sqlite:////absolute/path, sqlite:///relative/path, postgres://USER:PASSWORD@HOST:PORT/NAME"

# runserver starts a thread for each connection, so their number is unknown.
THREADS_WITHOUT_GUNICORN = 4

BUSY_TIMEOUT = 10.0
"""Seconds that a writer waits for SQLite's single write lock."""

CONNECT_TIMEOUT = 5
"""Timeout in seconds for connecting to PostgreSQL, or for getting a connection from the pool."""


def database(env: Environment, base_dir: Path) -> dict[str, Any]:
    """Return the entry for DATABASE_URL (SQLite in `base_dir` by default).

    Raises ImproperlyConfigured; its message never shows the URL, which may contain a password.
    """
    url = env.text("DATABASE_URL")
    if not url:
        return _sqlite({"NAME": str(base_dir / "db.sqlite3")})
    try:
        config = _parsed(url)
    except ValueError:
        raise env.error("DATABASE_URL", None, ACCEPTED) from None
    return _sqlite(config) if url.startswith("sqlite:") else _postgresql(config, env)


def threads(env: Environment) -> int:
    """Return a worker's number of threads for requests."""
    return env.integer("USERAPI_THREADS", THREADS_WITHOUT_GUNICORN, minimum=1, maximum=1000)


def _parsed(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        good = not parts.netloc and parts.path not in ("", "/")
    else:
        good = parts.scheme in ("postgres", "postgresql") and parts.path not in ("", "/") and parts.port != 0
    if not good:
        raise ValueError
    return dict(environ.Env.db_url_config(url))


def _sqlite(config: dict[str, Any]) -> dict[str, Any]:
    options = {
        "timeout": BUSY_TIMEOUT,
        # A deferred transaction that reads before it writes fails at once if another one has written in between;
        # an immediate one waits for the lock.
        "transaction_mode": "IMMEDIATE",
        # NORMAL survives a crash of the process; only a power failure may lose the last commits.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
    }
    return {
        **config,
        "ENGINE": "userapi.sqlite",
        # Django's default, which pytest-django sets only for Django's own engine.
        "TEST": {"NAME": ":memory:"},
        # Opening the file and its pragmas cost a sixth of a request, so each thread keeps its connection; but runserver
        # starts a thread for each client and does not close its connection.
        "CONN_MAX_AGE": 0 if sys.argv[1:2] == ["runserver"] else None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {**config.get("OPTIONS", {}), **options},
    }


def _postgresql(config: dict[str, Any], env: Environment) -> dict[str, Any]:
    # One for each thread, and one for /readyz.
    size = env.integer("DATABASE_POOL_SIZE", threads(env) + 1, minimum=1, maximum=1000)
    options = {
        "connect_timeout": CONNECT_TIMEOUT,
        # Milliseconds until a host that vanished without closing its connections counts as down (Linux only).
        "tcp_user_timeout": 10_000,
        "pool": {
            "min_size": 1,
            "max_size": size,
            "timeout": CONNECT_TIMEOUT,
            "reconnect_timeout": 2.0,
            "name": "userapi",
        },
    }
    return {
        **config,
        # Django refuses persistent connections with a pool, which keeps them open itself.
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {**options, **config.get("OPTIONS", {})},
    }
