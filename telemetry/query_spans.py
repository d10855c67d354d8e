"""The span and the metrics of each query that Django sends, by a wrapper around its cursors.

Names, attributes and scopes are those of the contrib instrumentations of psycopg and sqlite3, which stand around every
method of every cursor instead. What goes past Django's cursors (a raw connection of the driver, a stored procedure by
`callproc`) has no span.
"""

import re
from collections.abc import Callable, Mapping
from importlib.metadata import version
from time import perf_counter
from typing import Any

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from opentelemetry import metrics, trace
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, get_current
from opentelemetry.semconv._incubating.metrics import db_metrics
from opentelemetry.semconv.attributes.db_attributes import (
    DB_NAMESPACE,
    DB_OPERATION_NAME,
    DB_QUERY_TEXT,
    DB_SYSTEM_NAME,
)
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS, SERVER_PORT
from opentelemetry.semconv.schemas import Schemas
from opentelemetry.trace import SpanKind, StatusCode

from telemetry.bound_metrics import BoundMetrics
from telemetry.privacy import redactor
from telemetry.spans import SpanSource, is_sampled

_DRIVERS = {"sqlite": "sqlite3", "postgresql": "psycopg"}
# The first keyword. What follows it without a blank may be a literal, and metrics are not redacted.
_OPERATION = re.compile(r"(?:[\s(]++|/\*.*?\*/|--[^\n]*+)*+([A-Za-z]*)", re.DOTALL)
# Texts repeat from request to request; those that do not must not pile up.
_MOST_STATEMENTS = 1024
_LONGEST_STATEMENT = 16 * 1024  # characters

Execute = Callable[[str, Any, bool, dict[str, Any]], Any]


class _Statement:
    """One SQL text, as its spans and metrics tell of it."""

    __slots__ = ("attributes", "duration", "name", "operation", "rows")

    def __init__(self, text: str, tracer: "QueryTracer") -> None:
        found = _OPERATION.match(text)
        self.operation = found[1] if found else ""
        self.name = self.operation or tracer.unnamed
        # Redacted and cut once here, so that the export changes nothing and copies no span.
        self.attributes = redactor().attributes({**tracer.server, DB_QUERY_TEXT: text})
        self.duration = tracer.duration.of(self.operation, "")
        self.rows = tracer.rows.of(self.operation, "")


class QueryTracer:
    """Wraps the queries of one database of one driver."""

    def __init__(self, driver: str, server: Mapping[str, Any]) -> None:
        """`server` are the attributes that all queries to it have."""
        scope = f"opentelemetry.instrumentation.{driver}"
        of_scope = version(f"opentelemetry-instrumentation-{driver}")
        schema = Schemas.V1_25_0.value
        self.server = server
        self.unnamed = server.get(DB_NAMESPACE) or server[DB_SYSTEM_NAME]
        self._statements: dict[str, _Statement] = {}
        self._spans = SpanSource(trace.get_tracer(scope, of_scope, schema_url=schema))
        meter = metrics.get_meter(scope, of_scope, schema_url=schema)
        self.duration = BoundMetrics(db_metrics.create_db_client_operation_duration(meter), self._measured)
        self.rows = BoundMetrics(db_metrics.create_db_client_response_returned_rows(meter), self._measured)

    def __call__(self, execute: Execute, sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        around = get_current()
        if around.get(_SUPPRESS_INSTRUMENTATION_KEY):
            return execute(sql, params, many, context)
        statement = self._statements.get(sql) if isinstance(sql, str) else None
        if statement is None:
            statement = self._describe(sql, context)
        span = self._spans.start(statement.name, SpanKind.CLIENT, statement.attributes, around)
        inside = trace.set_span_in_context(span, around)
        token = attach(inside)
        failed = ""
        start = perf_counter()
        try:
            return execute(sql, params, many, context)
        except Exception as error:
            failed = self._fail(span, error)
            raise
        finally:
            seconds = perf_counter() - start
            sampled = is_sampled(span)
            duration = self.duration.of(statement.operation, failed) if failed else statement.duration
            duration.record(seconds, inside, sampled=sampled)
            rows = -1 if failed else getattr(context["cursor"].cursor, "rowcount", None)
            if isinstance(rows, int) and rows >= 0:
                statement.rows.record(rows, inside, sampled=sampled)
            span.end()
            detach(token)

    def _describe(self, sql: Any, context: Mapping[str, Any]) -> _Statement:
        statement = _Statement(_text(sql, context), self)
        if isinstance(sql, str) and len(sql) <= _LONGEST_STATEMENT:
            if len(self._statements) >= _MOST_STATEMENTS:
                self._statements.clear()
            self._statements[sql] = statement
        return statement

    def _measured(self, operation: str, failed: str) -> Mapping[str, Any]:
        """Return the attributes of a series."""
        attributes = dict(self.server)
        if operation:
            attributes[DB_OPERATION_NAME] = operation
        if failed:
            attributes[ERROR_TYPE] = failed
        return attributes

    @staticmethod
    def _fail(span: trace.Span, error: Exception) -> str:
        """Write the driver's error into the span, which Django's stands for; return its type."""
        if isinstance(error, Error) and error.__cause__ is not None:
            error = error.__cause__  # type: ignore[assignment]
        if span.is_recording():
            span.record_exception(error)
            span.set_status(StatusCode.ERROR, f"{type(error).__name__}: {error}")
        return type(error).__qualname__


def _text(sql: Any, context: Mapping[str, Any]) -> str:
    if isinstance(sql, str):
        return sql
    if isinstance(sql, bytes):
        return sql.decode(errors="replace")
    # psycopg's composed statements.
    return str(sql.as_string(context["cursor"].cursor)) if hasattr(sql, "as_string") else ""


class QueryTracers:
    """Puts a tracer into each connection that Django opens, one for each database."""

    def __init__(self) -> None:
        self._tracers: dict[tuple[Any, ...], QueryTracer] = {}

    def install(self) -> None:
        """Begin with the next connection that is opened."""
        connection_created.connect(self._trace, weak=False, dispatch_uid=__name__)

    def _trace(self, connection: BaseDatabaseWrapper, **_: object) -> None:
        driver = _DRIVERS.get(connection.vendor)
        if driver is None:
            return
        server = _server(connection)
        key = tuple(server.values())
        tracer = self._tracers.get(key)
        if tracer is None:
            tracer = self._tracers[key] = QueryTracer(driver, server)
        wrappers = connection.execute_wrappers
        if wrappers and wrappers[0] is tracer:
            return
        # Django keeps the wrappers when it opens a connection again, perhaps to another server.
        wrappers[:] = [wrapper for wrapper in wrappers if not isinstance(wrapper, QueryTracer)]
        wrappers.insert(0, tracer)


def _server(connection: BaseDatabaseWrapper) -> dict[str, Any]:
    """Return the attributes of a database: where it is, as the driver tells."""
    attributes: dict[str, Any] = {DB_SYSTEM_NAME: connection.vendor}
    info = getattr(connection.connection, "info", None)
    if info is None:
        return attributes
    for key, name in ((DB_NAMESPACE, "dbname"), (SERVER_ADDRESS, "host"), (SERVER_PORT, "port")):
        value = getattr(info, name, None)
        if value:
            attributes[key] = value
    return attributes
