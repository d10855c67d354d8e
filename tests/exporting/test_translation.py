"""The spans, log records and metrics made of a journal's records."""

from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans

from telemetry.exporting.items.batches import Batches
from telemetry.exporting.items.translation import Translator
from telemetry.exporting.metrics.aggregation import Aggregation
from telemetry.exporting.metrics.views import Views
from telemetry.journal.records import QUERY
from telemetry.privacy import Redactor

IDS = (b"1" * 16, b"2" * 8, None, 1, False)
LEVELS = [Redactor(), Redactor(strict=True)]


def translated(redactor: Redactor, *records: tuple[Any, ...]) -> tuple[list[ScopeSpans], Aggregation]:
    """Return the spans, by scope, and the metrics of `records`."""
    aggregation, spans = Aggregation(Views({})), Batches("traces", {}, 100)
    translator = Translator(redactor=redactor, aggregation=aggregation, spans=spans, logs=None, methods=set())
    translator.translate(records, None)
    assert translator.errors == 0
    requests = [ExportTraceServiceRequest.FromString(request) for request, _ in spans.take()]
    return [scope for request in requests for scope in request.resource_spans[0].scope_spans], aggregation


@pytest.mark.parametrize("redactor", LEVELS)
@pytest.mark.parametrize("failed", [True, False])
@pytest.mark.parametrize(
    ("database", "statement", "name"),
    [
        (("postgresql", None, "db", 5432), "/* for /a/*/alice */ SELECT 1 */ UPDATE a SET b = 1", "UPDATE"),
        (("postgresql", None, "db", 5432), "/* for /a/*/alice */ SELECT 1", "postgresql"),
        (("sqlite", None, None, None), "/* for /a/*/alice */ SELECT 1", "sqlite"),
        (("sqlite", None, None, None), "alice ' x", "sqlite"),
        (("sqlite", None, None, None), "-- alice\n(SELECT'alice')", "SELECT"),
    ],
)
def test_operation_of_a_query_is_a_known_one(
    redactor: Redactor, failed: bool, database: tuple[Any, ...], statement: str, name: str
) -> None:
    error = ("OperationalError", "sqlite3.OperationalError", "", "") if failed else None
    (scope,), aggregation = translated(redactor, (QUERY, database, statement, 1, 2, -1, error, IDS, None))
    assert [span.name for span in scope.spans] == [name]
    operations = {
        series.attributes.get("db.operation.name", database[0])
        for (_, metric, *_), all_series in aggregation.metrics()
        if metric == "db.client.operation.duration"
        for series in all_series
    }
    assert operations == {name}
