"""Queries are recorded on databases of any vendor, those of other packages included."""

from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState

from telemetry.exporting.items.batches import Batches
from telemetry.exporting.items.translation import Translator
from telemetry.exporting.metrics.aggregation import Aggregation
from telemetry.exporting.metrics.views import Views
from telemetry.privacy import Redactor
from telemetry.recording.journal import journal
from telemetry.recording.middleware import RequestMiddleware
from telemetry.recording.queries import QueryRecorders
from tests.recording.conftest import Recorded

MARIADB = SimpleNamespace(get_server_info=lambda: "5.5.5-10.11.6-MariaDB-0+deb12u1", info=lambda: None)
MYSQL = SimpleNamespace(get_server_info=lambda: "8.4.0", info=lambda: None)  # mysqlclient's is a method
PSYCOPG = SimpleNamespace(info=SimpleNamespace(dbname="shop", host="db.internal", port=5433))
GIVEN = {"NAME": "shop", "HOST": "db", "PORT": "3306"}


class Connection:
    """A connection of Django's to a database that is not installed here."""

    def __init__(self, vendor: str, driver: object = None, **settings: Any) -> None:
        self.vendor, self.connection, self.settings_dict = vendor, driver, {"NAME": "shop", "HOST": "", **settings}
        self.execute_wrappers: list[Any] = []
        QueryRecorders()._record(self)  # type: ignore[arg-type]

    def execute(self, sql: str, answer: object = None) -> None:
        def send(*_: Any) -> None:
            if isinstance(answer, Exception):
                raise answer

        (recorder,) = self.execute_wrappers
        recorder(send, sql, None, False, {"connection": self, "cursor": SimpleNamespace(cursor=None)})


@pytest.mark.parametrize(
    ("vendor", "driver", "settings", "database"),
    [
        ("mysql", MYSQL, GIVEN, ("mysql", "shop", "db", 3306)),
        ("mysql", MARIADB, GIVEN, ("mariadb", "shop", "db", 3306)),
        ("mysql", None, GIVEN | {"PORT": 3307}, ("mysql", "shop", "db", 3307)),
        ("oracle", None, GIVEN | {"PORT": ""}, ("oracle.db", "shop", "db", None)),
        ("oracle", None, {"NAME": "scott/tiger@db/xe", "HOST": ""}, ("oracle.db", None, None, None)),
        ("microsoft", None, GIVEN, ("microsoft.sql_server", "shop", "db", 3306)),
        ("cockroachdb", PSYCOPG, GIVEN, ("cockroachdb", "shop", "db.internal", 5433)),
        ("snowflake", None, {"NAME": "shop"}, ("snowflake", None, None, None)),
    ],
)
def test_query_names_its_database(
    recorded: Recorded, vendor: str, driver: Any, settings: dict[str, Any], database: tuple[Any, ...]
) -> None:
    Connection(vendor, driver, **settings).execute("SELECT 1")
    (record,) = recorded()
    assert record[1] == database


def test_query_that_others_wrap_has_a_span_for_them(recorded: Recorded) -> None:
    """Such as a router's wrapper, which names the shard, or sqlcommenter's, which sends the span's id along."""
    connection, spans = Connection("oracle"), list[trace.Span]()

    def send(*_: Any) -> None:
        spans.append(trace.get_current_span())
        spans[0].set_attribute("shard", 3)

    (recorder,) = connection.execute_wrappers
    connection.execute_wrappers.append(send)
    around = SpanContext(5, 6, is_remote=False, trace_flags=TraceFlags(1), trace_state=TraceState([("shop", "1")]))
    with trace.use_span(NonRecordingSpan(around)):
        recorder(send, "SELECT 1", None, False, {"connection": connection, "cursor": SimpleNamespace(cursor=None)})
        assert trace.get_current_span().get_span_context() is around
    (record,) = recorded()
    (span,) = spans
    own = span.get_span_context()
    assert record[7] == (around.trace_id.to_bytes(16), own.span_id.to_bytes(8), around.span_id.to_bytes(8), 1, False)
    assert record[8][2] == {"shard": 3}
    assert (own.trace_id, own.trace_state, own.trace_flags) == (5, around.trace_state, 1)
    assert not span.is_recording()


def test_connection_to_another_server_is_recorded_once(recorded: Recorded) -> None:
    """Django keeps the wrappers of a connection, those of others included."""
    connection = Connection("oracle", **GIVEN)
    theirs = SimpleNamespace()
    connection.execute_wrappers.append(theirs)
    connection.settings_dict["HOST"] = "replica"
    recorders = QueryRecorders()
    for _ in range(2):
        recorders._record(connection)  # type: ignore[arg-type]
    assert connection.execute_wrappers.pop() is theirs
    connection.execute("SELECT 1")
    (record,) = recorded()
    assert record[1] == ("oracle.db", "shop", "replica", 3306)


@pytest.mark.parametrize("sql", ["x" * 20_000, b"x" * 20_000])
def test_long_statement_is_cut(recorded: Recorded, sql: Any) -> None:
    Connection("oracle").execute(sql)
    (record,) = recorded()
    assert record[2] == "x" * 16 * 1024


def test_sampler_decides_on_a_query_without_a_trace(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RequestMiddleware, "sampler", ALWAYS_OFF)
    Connection("oracle").execute("SELECT 1")
    (record,) = recorded()
    assert record[7][3] & 1 == 0


@pytest.mark.usefixtures("recorded")
def test_connection_of_an_odd_driver_is_opened() -> None:
    assert Connection("mysql", HOST="db", PORT="none").execute_wrappers == []
    assert journal.errors == 1


@pytest.mark.parametrize(
    ("vendor", "sql", "shown"),
    [
        ("mysql", "SELECT \"x\", 'it\\'s', 5 # y", "SELECT ?, ?, ? "),
        ("oracle", 'SELECT q\'[it\'s]\', "A" FROM "B" WHERE "A" = \'x\'', 'SELECT ?, "A" FROM "B" WHERE "A" = ?'),
        ("snowflake", 'SELECT $$it\'s$$, "A" FROM b -- y', 'SELECT ?, "A" FROM b '),
    ],
)
def test_query_of_another_database_is_exported(recorded: Recorded, vendor: str, sql: str, shown: str) -> None:
    connection = Connection(vendor)
    connection.execute(sql)
    with pytest.raises(TimeoutError):
        connection.execute(sql, TimeoutError())
    spans, aggregation = Batches("traces", {}, 100), Aggregation(Views({}))
    translator = Translator(redactor=Redactor(), aggregation=aggregation, spans=spans, logs=None, methods=set())
    translator.translate(recorded(), None)
    assert translator.errors == 0
    ((request, items),) = spans.take()
    (group,) = ExportTraceServiceRequest.FromString(request).resource_spans
    (scope,) = group.scope_spans
    assert (items, scope.scope.name) == (2, "telemetry.database")
    attributes = [{each.key: each.value.string_value for each in span.attributes} for span in scope.spans]
    assert [each["db.query.text"] for each in attributes] == [shown, shown]
