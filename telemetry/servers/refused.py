"""Servers that cannot be supported."""

import sys

from telemetry import lifecycle

_TORNADO = "gunicorn.workers.gtornado"


def refuse_unsupported() -> None:
    """End the server with a one-line message if its workers cannot serve Django.

    gunicorn imports only the worker class that it uses, so an imported module identifies it.
    """
    if _TORNADO in sys.modules and lifecycle.load_config().records:
        lifecycle.refuse(
            "--worker-class: unsupported value 'tornado'; expected sync, gthread, gevent or asgi. "
            "It runs views in its event loop, where Django refuses queries and async views."
        )
