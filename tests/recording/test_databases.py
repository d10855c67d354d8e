"""Queries are recorded on databases of any vendor, those of other packages included."""

from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from telemetry.exporting.items.batches import Batches
from telemetry.exporting.items.translation import Translator
from telemetry.exporting.metrics.aggregation import Aggregation
from telemetry.exporting.metrics.views import Views
from telemetry.privacy import Redactor
from telemetry.recording.journal import journal
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
