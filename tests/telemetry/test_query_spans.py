"""What the span and the metrics of a query tell of its text."""

from collections.abc import Callable, Iterator
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

from telemetry.privacy import Redactor
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


@pytest.fixture
def query(monkeypatch: pytest.MonkeyPatch, django_db_blocker: Any) -> Iterator[Callable[[str], tuple[Any, list[Any]]]]:
    """A function that sends a query and returns its span and the attributes of its durations."""
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    spans, meters = TracerProvider(shutdown_on_exit=False), MeterProvider([reader], shutdown_on_exit=False)
    spans.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("opentelemetry.trace.get_tracer", spans.get_tracer)
    monkeypatch.setattr("opentelemetry.metrics.get_meter", meters.get_meter)
    connection = ConnectionHandler({"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})["default"]

    def send(text: str) -> tuple[Any, list[Any]]:
        with connection.execute_wrapper(QueryTracer("sqlite3", {"db.system.name": "sqlite"})), suppress(DatabaseError):
            connection.cursor().execute(text)
        (span,) = exporter.get_finished_spans()
        data: Any = reader.get_metrics_data()
        metrics = [metric for scope in data.resource_metrics[0].scope_metrics for metric in scope.metrics]
        durations = [metric for metric in metrics if metric.name == "db.client.operation.duration"]
        return span, [point.attributes for metric in durations for point in metric.data.data_points]

    with django_db_blocker.unblock():
        yield send
        # Django's own `close` leaves a database in memory open.
        if connection.connection is not None:
            connection.connection.close()


@pytest.mark.parametrize("text", OPERATIONS)
def test_operation_is_a_keyword_and_nothing_that_follows(query: Any, text: str) -> None:
    span, durations = query(text)
    expected = OPERATIONS[text]
    assert span.name == (expected or "sqlite")
    assert [attributes.get("db.operation.name") for attributes in durations] == [expected]


def test_span_holds_no_more_of_a_statement_than_may_leave(query: Any) -> None:
    statement = f"SELECT 1 IN ({', '.join(map(str, range(10_000)))})"
    text = query(statement)[0].attributes["db.query.text"]
    assert len(text) <= 16 * 1024
    both = [Redactor().attributes({"db.query.text": one}) for one in (text, statement)]
    assert both[0] == both[1]
