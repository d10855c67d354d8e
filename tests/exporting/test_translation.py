"""The spans, log records and metrics made of a journal's records."""

from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans

from telemetry.exporting.items.batches import Batches
from telemetry.exporting.items.translation import Translator
from telemetry.exporting.metrics.aggregation import Aggregation
from telemetry.exporting.metrics.views import Views
from telemetry.journal.records import MEASUREMENT, OBSERVATIONS, QUERY, SPAN
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


@pytest.mark.parametrize("redactor", LEVELS)
def test_scope_of_a_span_is_redacted(redactor: Redactor) -> None:
    scope: tuple[Any, ...] = "shop", "v alice@example.com", "https://me:swordfish@h/?token=swordfish", {}
    (sent,), _ = translated(redactor, (SPAN, scope, IDS, "x", 1, 1, 2, {}, None, (), (), (0, 0, 0)))
    assert "alice" not in str(sent)
    assert "swordfish" not in str(sent)


@pytest.mark.parametrize("redactor", LEVELS)
def test_instrument_is_redacted(redactor: Redactor) -> None:
    email, url = "alice@example.com", "https://me:swordfish@h/?token=swordfish"
    texts = f"logins.{email}", email, f"by {email}", f"shop.{email}", f"v {email}", url
    counter, gauge = ("counter", *texts, None), ("observable_gauge", *texts, None)
    _, aggregation = translated(
        redactor,
        (MEASUREMENT, counter, 1, {}, 1, None, None, False, 1),
        (OBSERVATIONS, 1, ((gauge, ((1, {}),)),), 1),
    )
    sent = [str(instrument) for instrument, _ in aggregation.metrics()]
    assert len(sent) == 3  # with the number of log records
    assert not [each for each in sent if "alice" in each or "swordfish" in each]


def test_strict_scope_has_a_number_and_an_address() -> None:
    strict = LEVELS[1]
    for version in ("1.2", "v2.0.0-rc.1", "0.57b0", "5.2.dev0", "1.2.3.post1"):
        assert strict.version(version) == version
    for version in ("alice", "1.2 alice", "1.alice", "(5, 2, 0, 'final', 0)"):
        assert strict.version(version) == ""
    assert strict.schema_url("https://opentelemetry.io/schemas/1.21.0") == "https://opentelemetry.io/schemas/1.21.0"
    for url in ("alice smith", "https://me:swordfish@h/", "https://h/?a=swordfish", "https://h/#swordfish"):
        assert strict.schema_url(url) == ""
