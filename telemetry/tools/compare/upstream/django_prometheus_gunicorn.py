"""gunicorn's configuration: the project's own, and prometheus_client's hook for its multiprocess mode."""

from typing import Any

from telemetry.tools.compare.upstream import project

globals().update(project.gunicorn_configuration())


def child_exit(server: Any, worker: Any) -> None:  # noqa: ARG001  (gunicorn's signature)
    """Do the bookkeeping for a worker that has ended."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
