"""gunicorn's configuration: the project's own, and OpenTelemetry's instrumentations started in post_fork."""

from typing import Any

from telemetry.tools.compare.upstream import contrib, project

globals().update(project.gunicorn_configuration())


def post_fork(server: Any, worker: Any) -> None:  # noqa: ARG001  (gunicorn's signature)
    """Start the SDK in the new worker."""
    contrib.provide()
    contrib.instrument()


def post_worker_init(worker: Any) -> None:  # noqa: ARG001
    """Finish once the application is loaded."""
    contrib.instrument_logging()
