"""The scopes and instruments of the spans and metrics that the exporter makes from requests and queries.

Names and attributes are those of contrib's instrumentations; the scopes name telemetry as their source.
"""

from functools import cache

from opentelemetry.semconv.schemas import Schemas

from telemetry import __version__
from telemetry.exporting.encoding import ScopeData
from telemetry.journal.records import Instrument

# https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserverrequestduration
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


def _scope(recorded: str, schema: str) -> ScopeData:
    return ScopeData(f"telemetry.{recorded}", __version__, schema)


def _instrument(  # noqa: PLR0917
    scope: ScopeData, kind: str, name: str, unit: str, description: str, bounds: object = None
) -> Instrument:
    return (kind, name, unit, description, scope.name, scope.version, scope.schema_url, bounds)  # type: ignore[return-value]


REQUESTS = _scope("django", Schemas.V1_21_0.value)
_DRIVERS = {"sqlite": "sqlite3", "postgresql": "psycopg"}
_OTHER_DRIVER = "database"

REQUEST_DURATION = _instrument(
    REQUESTS, "histogram", "http.server.request.duration", "s", "Duration of HTTP server requests.", _SECONDS
)
ACTIVE_REQUESTS = _instrument(
    REQUESTS,
    "observable_updowncounter",
    "http.server.active_requests",
    "{request}",
    "Number of active HTTP server requests.",
)


@cache
def query_scope(system: str) -> ScopeData:
    """Return the scope of the spans of a database's queries."""
    return _scope(_DRIVERS.get(system, _OTHER_DRIVER), Schemas.V1_25_0.value)


@cache
def query_duration(system: str) -> Instrument:
    """Return the instrument of the durations of a database's queries."""
    description = "Duration of database client operations."
    return _instrument(query_scope(system), "histogram", "db.client.operation.duration", "s", description)


@cache
def returned_rows(system: str) -> Instrument:
    """Return the instrument of the numbers of rows that a database's queries return."""
    description = "The actual number of records returned by the database operation."
    return _instrument(query_scope(system), "histogram", "db.client.response.returned_rows", "{row}", description)
