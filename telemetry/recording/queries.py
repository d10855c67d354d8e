"""Records each query of Django's cursors, by a wrapper: as a part of its request's record, or as a separate record.

Queries that bypass the wrapper (a raw connection of the driver, a stored procedure by `callproc`) are not recorded.
"""

from collections.abc import Callable, Mapping
from time import perf_counter_ns, time_ns
from typing import Any

from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from opentelemetry import trace
from opentelemetry.context import attach, detach, get_current
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.trace import SpanKind

from telemetry.journal.records import QUERY
from telemetry.privacy.strict import Vetted
from telemetry.recording.journal import journal
from telemetry.recording.middleware import RequestMiddleware
from telemetry.recording.spans import (
    MOST_WITHIN,
    REQUEST_KEY,
    QuerySpan,
    RecordedSpan,
    RequestSpan,
    decide,
    described,
    new_trace_id,
)

# https://opentelemetry.io/docs/specs/semconv/registry/attributes/db/#db-system-name
_SYSTEMS = {"oracle": "oracle.db", "microsoft": "microsoft.sql_server"}
"""By Django's vendor of a database, its name where they differ."""
_LONGEST_STATEMENT = 16 * 1024  # characters

Execute = Callable[[str, Any, bool, dict[str, Any]], Any]
Database = tuple[str, str | None, str | None, int | None]


class QueryRecorder:
    """Wraps the queries of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __call__(self, execute: Execute, sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        current = get_current()
        request: RequestSpan | None = current.get(REQUEST_KEY)  # type: ignore[assignment]
        within = request is not None and current is request.context  # whose context suppresses no instrumentation
        if (journal.ring is None and not journal.records()) or not (within or is_instrumentation_enabled()):
            return execute(sql, params, many, context)
        span = token = None
        if len(context["connection"].execute_wrappers) > 1:
            span = _span_for_others()
            token = attach(trace.set_span_in_context(span))
        failed: BaseException | None = None
        start, began = time_ns(), perf_counter_ns()
        try:
            return execute(sql, params, many, context)
        except BaseException as error:
            failed = error
            raise
        finally:
            duration = perf_counter_ns() - began
            if token:
                detach(token)
            try:
                rows = -1 if failed else getattr(context["cursor"].cursor, "rowcount", -1)
                text = sql if isinstance(sql, str) and len(sql) <= _LONGEST_STATEMENT else _text(sql, context)
                if not isinstance(rows, int):
                    rows = -1
                problem = None if failed is None else _error(failed)
                alone = request is None or request.over or len(request.queries) >= MOST_WITHIN
                ids = touched = None  # a child of the request's span
                if span is not None:
                    span.ended = True
                    ids, touched = span.ids, span.touched
                elif alone or not within:
                    ids = _ids(trace.get_current_span())
                query = self._database, text, start, duration, rows, problem, ids, touched
                if request is None or alone:
                    journal.write((QUERY, *query))
                else:
                    request.queries.append(query)
            except Exception as error:  # noqa: BLE001  (the query returns as if telemetry were off)
                journal.failed("query", error)


def _span_for_others() -> QuerySpan:
    """Return the query's span for other wrappers, which run inside it."""
    ids = _ids(trace.get_current_span())
    return QuerySpan(ids[0], ids[2], ids[3], trace.get_current_span().get_span_context().trace_state)


def _ids(around: trace.Span) -> tuple[Any, ...]:
    """Return the context of a query's record, like that of other spans; the exporter replaces the span id b""."""
    if isinstance(around, RecordedSpan):
        return around.trace_id, b"", around.span_id, around.flags, False
    parent = around.get_span_context()
    if parent.is_valid:
        flags = int(parent.trace_flags)
        return parent.trace_id.to_bytes(16), b"", parent.span_id.to_bytes(8), flags, parent.is_remote
    trace_id, flags = new_trace_id(), QuerySpan.flags
    if RequestMiddleware.sampler is not None:
        flags, _ = decide(RequestMiddleware.sampler, trace.set_span_in_context(around), trace_id, "", SpanKind.CLIENT)
    return trace_id, b"", None, flags, False


def _error(error: BaseException) -> tuple[str, str, str, str | Vetted]:
    """Return the driver's error behind Django's: its name, type, message and stack trace."""
    if isinstance(error, Error) and error.__cause__ is not None:
        error = error.__cause__
    return described(error)


def _text(sql: Any, context: Mapping[str, Any]) -> str:
    if isinstance(sql, str):
        text = sql
    elif isinstance(sql, bytes):
        text = sql.decode(errors="replace")
    else:  # psycopg's composed statements
        text = str(sql.as_string(context["cursor"].cursor)) if hasattr(sql, "as_string") else ""
    return text if len(text) <= _LONGEST_STATEMENT else text[:_LONGEST_STATEMENT]


class QueryRecorders:
    """Installs a recorder in each of Django's connections, one for each database."""

    def __init__(self) -> None:
        self._recorders: dict[Database, QueryRecorder] = {}

    def install(self) -> None:
        """Begin, including connections already open in this thread: a command's checks may have opened some."""
        connection_created.connect(self._record, weak=False, dispatch_uid=__name__)
        for connection in connections.all(initialized_only=True):
            if connection.connection is not None:
                self._record(connection)

    def _record(self, connection: BaseDatabaseWrapper, **_: object) -> None:
        try:
            database = _database(connection)
        except Exception as error:  # noqa: BLE001  (a driver of any vendor; the connection works as without telemetry)
            journal.failed("connection", error)
            return
        recorder = self._recorders.setdefault(database, QueryRecorder(database))
        wrappers = connection.execute_wrappers
        if wrappers and wrappers[0] is recorder:
            return
        # Django keeps the wrappers when it reconnects, perhaps to another server.
        wrappers[:] = [wrapper for wrapper in wrappers if not isinstance(wrapper, QueryRecorder)]
        wrappers.insert(0, recorder)


def _database(connection: BaseDatabaseWrapper) -> Database:
    """Return a database's system, and its name, host and port: as psycopg reports them, else as configured."""
    system, settings = connection.vendor, connection.settings_dict
    if system == "mysql":  # not `mysql_is_mariadb`, which sends a query
        of_server = str(getattr(connection.connection, "get_server_info", str)())
        system = "mariadb" if "mariadb" in of_server.lower() else system
    info = getattr(connection.connection, "info", None)
    if hasattr(info, "dbname"):
        name, host, port = (getattr(info, key, None) or None for key in ("dbname", "host", "port"))
    elif settings.get("HOST"):  # else the name may be a file's, or contain all of the address
        name, host = str(settings["NAME"]), str(settings["HOST"])
        port = int(settings.get("PORT") or 0) or None
    else:
        name = host = port = None
    return _SYSTEMS.get(system, system), name, host, port
