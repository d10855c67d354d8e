"""`/livez` and `/readyz`: whether the process runs, and whether it can serve.

Telemetry backends are never checked: a service is ready even if its collector is down.
"""

import logging
from http import HTTPStatus
from threading import Lock, Thread

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from opentelemetry.instrumentation.utils import suppress_instrumentation

from userapi.problems import problem_response

READY_TIMEOUT = 3.0
"""How long the database may take to answer, in seconds."""

logger = logging.getLogger(__name__)


def livez(_request: HttpRequest) -> HttpResponse:
    """Answer 200: the process accepts requests."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> HttpResponse:
    """Answer 200 if the database answers and is migrated, else a 503 problem with the reasons."""
    reasons = readiness.reasons()
    if reasons:
        return problem_response(request, HTTPStatus.SERVICE_UNAVAILABLE, "The service is not ready.", reasons)
    return JsonResponse({"status": "ok"})


class Readiness:
    """Queries the database from its own thread, so that a hanging database does not block a worker.

    At most one check runs at a time. Migrations are checked until none is missing.
    """

    def __init__(self, timeout: float = READY_TIMEOUT) -> None:
        self._timeout = timeout
        self._lock = Lock()
        self._check: _Check | None = None
        self._migrated = False

    def reasons(self) -> dict[str, list[str]]:
        """Return why the service is not ready, by component; empty if it is."""
        with self._lock:
            if self._check is None or not self._check.is_alive():
                self._check = _Check(migrations=not self._migrated)
                self._check.start()
            check = self._check
        check.join(self._timeout)
        if check.is_alive():
            return {"database": [f"No answer within {self._timeout:g} seconds."]}
        if not check.reasons:
            self._migrated = True
        return check.reasons


class _Check(Thread):
    def __init__(self, *, migrations: bool) -> None:
        super().__init__(name="readyz", daemon=True)
        self.reasons: dict[str, list[str]] = {}
        self._migrations = migrations

    def run(self) -> None:
        connection = connections[DEFAULT_DB_ALIAS]
        try:
            with suppress_instrumentation():
                with connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
                if self._migrations:
                    executor = MigrationExecutor(connection)
                    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
                    if plan:
                        self.reasons["migrations"] = [f"{len(plan)} not applied: run manage.py migrate."]
        except DatabaseError as error:
            # Not the text itself, which can contain hosts and accounts.
            self.reasons["database"] = [f"Does not answer ({type(error).__name__})."]
            logger.warning("Not ready: the database does not answer", exc_info=error)
        except Exception as error:
            self.reasons["check"] = [f"Could not be finished ({type(error).__name__})."]
            logger.exception("Not ready: the check failed")
        finally:
            connection.close()


readiness = Readiness()
