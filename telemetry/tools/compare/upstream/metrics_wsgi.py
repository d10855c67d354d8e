"""The project's WSGI application with prometheus_client's at /metrics, which covers only its own process."""

from collections.abc import Iterable
from typing import Any

from prometheus_client import make_wsgi_app

from telemetry.tools.compare.upstream import project

_project = project.application()
_metrics = make_wsgi_app()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer a scrape, or pass the request to the project."""
    answering = _metrics if environ["PATH_INFO"] == "/metrics" else _project
    found: Iterable[bytes] = answering(environ, start_response)
    return found
