"""gunicorn's server hooks: workers join when they are ready, and the master waits at exit for the last delivery.

`gunicorn -c python:telemetry.servers.gunicorn`, or import all names into your own configuration file.
"""

import logging
import os
from typing import Any

from telemetry import lifecycle
from telemetry.logs import RedactingFormatter
from telemetry.servers.refused import refuse_unsupported

__all__ = ["on_exit", "on_starting", "post_fork", "post_worker_init"]

lifecycle.load_config()


def on_starting(server: Any) -> None:
    """Hold the directory of the run, so that the exporter keeps running while there are no workers."""
    refuse_unsupported()
    RedactingFormatter.install(logging.getLogger("gunicorn.error"))
    server.telemetry_hold = None
    config = lifecycle.load_config()
    if config.records:
        from telemetry.servers.hold import hold

        server.telemetry_hold = hold(config, _place(server.cfg), _owner(server.cfg))


def on_exit(server: Any) -> None:
    """Wait until the exporter has delivered, or until TELEMETRY_FLUSH_TIMEOUT is over."""
    if hold := server.telemetry_hold:
        hold.release()


def post_fork(server: Any, worker: Any) -> None:
    """Redact gunicorn's own log; a reload may have set up new handlers."""
    RedactingFormatter.install(logging.getLogger("gunicorn.error"))


def post_worker_init(worker: Any) -> None:
    """Join the run, as the worker has forked, switched to its user, and loaded the application."""
    lifecycle.start(_place(worker.cfg), ",".join(_address(each, tls=worker.cfg.is_ssl) for each in worker.sockets))


def _place(cfg: Any) -> str:
    return ",".join(str(address) for address in cfg.address)


def _address(listener: Any, *, tls: bool) -> str:
    """Return the URL of a listener; not its text, which for gevent's sockets differs in each process."""
    name = listener.getsockname()
    if not isinstance(name, tuple):
        return f"unix:{os.fsdecode(name)}"
    host, port = name[:2]
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def _owner(cfg: Any) -> tuple[int, int] | None:
    """Return user and group of the workers if they differ from the master's."""
    return (cfg.uid, cfg.gid) if (cfg.uid, cfg.gid) != (os.geteuid(), os.getegid()) else None
