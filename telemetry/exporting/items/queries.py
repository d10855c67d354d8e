"""The common parts of the spans and metrics of queries, computed once for each SQL text.

https://opentelemetry.io/docs/specs/semconv/database/database-spans/
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from opentelemetry.trace import SpanKind

from telemetry.exporting.encoding import ScopeData, encode_rest
from telemetry.exporting.items.redaction import Limited
from telemetry.exporting.items.scopes import query_duration, query_scope, returned_rows
from telemetry.exporting.metrics.aggregation import Aggregation, Series
from telemetry.privacy import Redactor
from telemetry.privacy.sql import operation as operation_of

CLIENT = SpanKind.CLIENT.value

# Most texts recur from request to request; those that do not must not accumulate.
_MOST_STATEMENTS = 1024

Database = tuple[str, str | None, str | None, int | None]


class Statement(NamedTuple):
    """One SQL text on one database, as in its spans and metrics."""

    name: str
    attributes: Mapping[str, Any]
    """Redacted."""
    rest: bytes
    """The result of `encode_rest`: these attributes, and all other fields that its spans share."""
    dropped: int
    scope: ScopeData
    duration: Series
    measured: Mapping[str, Any]
    """The metrics' attributes."""


class Statements:
    """The recently seen statements."""

    def __init__(self, redactor: Redactor, limited: Limited, aggregation: Aggregation) -> None:
        self._redactor = redactor
        self._limited = limited
        self._aggregation = aggregation
        self._known: dict[tuple[Database, str], Statement] = {}

    def of(self, database: Database, text: str) -> Statement:
        """Return the statement of an SQL text."""
        statement = self._known.get((database, text))
        if statement is None:
            if len(self._known) >= _MOST_STATEMENTS:
                self._known.clear()
            statement = self._known[database, text] = self._describe(database, text)
        return statement

    def failed(self, statement: Statement, system: str, error: str) -> Series:
        """Return the series of the durations of a statement that failed with `error`."""
        return self._aggregation.series(query_duration(system), {**statement.measured, "error.type": error})

    def rows(self, statement: Statement, system: str) -> Series:
        """Return the series of a statement's numbers of returned rows."""
        return self._aggregation.series(returned_rows(system), statement.measured)

    def _describe(self, database: Database, text: str) -> Statement:
        system, namespace, host, port = database
        named = {"db.namespace": namespace, "server.address": host, "server.port": port}
        server: dict[str, Any] = {"db.system.name": system, **{key: value for key, value in named.items() if value}}
        operation = operation_of(text, system)
        attributes = self._redactor.attributes({**server, "db.query.text": text})
        encoded, dropped = self._limited.of_span(attributes)
        measured = {**server, "db.operation.name": operation} if operation else server
        name = self._redactor.span_name(operation or namespace or system, measured)
        return Statement(
            name,
            attributes,
            encode_rest(name, CLIENT, encoded, None),
            dropped,
            query_scope(system),
            self._aggregation.series(query_duration(system), measured),
            measured,
        )
