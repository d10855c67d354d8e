"""Servers that cannot be supported."""

import sys

from telemetry import lifecycle

_TORNADO = "gunicorn.workers.gtornado"


def refuse_unsupported() -> None:
    """End the server with one line where its workers cannot serve Django; gunicorn imports only the class it uses."""
    if _TORNADO in sys.modules and lifecycle.load_config().records:
        lifecycle.refuse(
            "--worker-class: unsupported value 'tornado'; expected sync, gthread, gevent or asgi. "
            "It runs views in its event loop, where Django refuses queries and async views."
        )
