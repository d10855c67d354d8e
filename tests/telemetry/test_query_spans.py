"""What the span and the metrics of a query tell of its text."""

from contextlib import suppress
from typing import Any

import pytest
from django.db import DatabaseError
from django.db.utils import ConnectionHandler
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from telemetry.query_spans import QueryTracer

OPERATIONS = {
    "SELECT 1": "SELECT",
    " /* one */ /* two\nlines */ select 1": "select",
    "-- a note\nSELECT 1": "SELECT",
    "/*user='alice'\n*/ SELECT 1": "SELECT",
    "VALUES('alice')": "VALUES",
    "SELECT'alice'": "SELECT",
    "SELECT/**/1": "SELECT",
    "(SELECT 'alice')": "SELECT",
    "COMMIT;": "COMMIT",
    "/*'alice'": None,
    "'alice'": None,
    "": None,
}


@pytest.mark.parametrize("text", OPERATIONS)
def test_operation_is_a_keyword_and_nothing_that_follows(
    text: str, monkeypatch: pytest.MonkeyPatch, django_db_blocker: Any
) -> None:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    spans, meters = TracerProvider(shutdown_on_exit=False), MeterProvider([reader], shutdown_on_exit=False)
    spans.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("opentelemetry.trace.get_tracer", spans.get_tracer)
    monkeypatch.setattr("opentelemetry.metrics.get_meter", meters.get_meter)
    connection = ConnectionHandler({"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})["default"]
    tracer = QueryTracer("sqlite3", {"db.system.name": "sqlite"})
    with django_db_blocker.unblock(), connection.execute_wrapper(tracer), connection.cursor() as cursor:
        with suppress(DatabaseError):
            cursor.execute(text)
        connection.close()
    (span,) = exporter.get_finished_spans()
    data: Any = reader.get_metrics_data()
    points = [
        point
        for scope in data.resource_metrics[0].scope_metrics
        for metric in scope.metrics
        if metric.name == "db.client.operation.duration"
        for point in metric.data.data_points
    ]
    expected = OPERATIONS[text]
    assert span.name == (expected or "sqlite")
    assert [point.attributes.get("db.operation.name") for point in points] == [expected]
