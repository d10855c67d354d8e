"""The spans, log records and metrics made of a journal's records."""

from collections import Counter
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans

from telemetry.exporting.encoding import ScopeData, encode_body
from telemetry.exporting.items import queries as queries_module
from telemetry.exporting.items import translation
from telemetry.exporting.items.batches import Batches
from telemetry.exporting.items.translation import Translator
from telemetry.exporting.metrics.aggregation import Aggregation
from telemetry.exporting.metrics.series import Buckets
from telemetry.exporting.metrics.views import Views
from telemetry.journal.records import LOG, MEASUREMENT, OBSERVATIONS, QUERY, REQUEST, SEPARATOR, SPAN
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


class Translated:
    """A translator with all three signals."""

    def __init__(self, *records: tuple[Any, ...]) -> None:
        self._spans, self._logs = Batches("traces", {}, 100), Batches("logs", {}, 100)
        self.aggregation = Aggregation(Views({}))
        self.translator = Translator(
            redactor=Redactor(), aggregation=self.aggregation, spans=self._spans, logs=self._logs, methods=set()
        )
        self.translator.translate(records, None)
        traces = [ExportTraceServiceRequest.FromString(data) for data, _ in self._spans.take()]
        logs = [ExportLogsServiceRequest.FromString(data) for data, _ in self._logs.take()]
        self.spans = [span for each in traces for scope in each.resource_spans[0].scope_spans for span in scope.spans]
        self.logs = [
            record for each in logs for scope in each.resource_logs[0].scope_logs for record in scope.log_records
        ]

    def metrics(self) -> Counter[tuple[Any, ...]]:
        """Return the sum and, of a histogram, the number of each series' measurements."""
        found: Counter[tuple[Any, ...]] = Counter()
        for instrument, several in self.aggregation.metrics():
            for each in several:
                key = instrument[1], instrument[4], *each.attributes.items()
                found[*key, "sum"] += each.value  # type: ignore[assignment]
                found[*key, "count"] += sum(each.counts) if isinstance(each, Buckets) else 0
        return found

    def items(self) -> Counter[bytes]:
        return Counter(each.SerializeToString(deterministic=True) for each in (*self.spans, *self.logs))

    def cached(self) -> int:
        """Return the size of the largest cache of what recurs, except for those of a few possible keys."""
        several = {**vars(self.translator), **vars(self.translator._statements)}
        return max(len(each) for name, each in several.items() if isinstance(each, dict) and name not in BOUNDED)


BOUNDED = {"_by_kind", "_started"}
SQLITE, POSTGRESQL = ("sqlite", "a.db", None, None), ("postgresql", "a", "db", 5432)
IN_REQUEST = (b"1" * 16, b"3" * 8, IDS[1], 1, False)


def log(body: str = "hello", number: int = 20, level: str = "INFO", context: Any = None, name: str = "a") -> Any:
    return name, 5, number, level, body, None, {}, context


def query(database: Any = SQLITE, text: str = "SELECT 1", error: Any = None, context: Any = IN_REQUEST) -> Any:
    return database, text, 1, 4, 0, error, context, None


def request(agent: str = "curl", **changes: Any) -> tuple[Any, ...]:
    common = SEPARATOR.join(("shop", "shop:80", "GET", "", "10.0.0.1", agent, "80", "HTTP/1.1", "http"))
    fields = {"context": IDS, "start": 10, "duration": 7, "method": "GET", "route": "/a", "status": 200, "error": None}
    return REQUEST, *(
        {**fields, "environ": (common, "1234", "/a"), "touched": None} | {"queries": (), "logs": ()} | changes
    ).values()


FAILED = ("Error", "sqlite3.Error", "no", "")
ALIKE = [
    request(),
    request(method="POST"),
    request(route="/b"),
    request(route=None),
    request(status=404),
    request(status=500),
    request(status=500, error="ValueError"),
    request(agent="wget"),
    request(context=(*IDS[:3], 0, False)),
    request(context=(*IDS[:2], b"4" * 8, 1, True)),
    request(touched=("named", None, {"a": 1}, (), (), (0, 0, 0))),
    *(request(queries=(each,)) for each in (query(), query(POSTGRESQL), query(text="SELECT 2"), query(error=FAILED))),
    *(request(logs=(each,)) for each in (log(), log(number=25), log(level="NOTE"), log("bye"), log(name="b"))),
]


@pytest.mark.parametrize("most", [4096, 2])
def test_what_was_translated_before_changes_nothing(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """However alike two records are, and however few of what recurs is kept."""
    monkeypatch.setattr(translation, "_MOST_SERIES", most)
    monkeypatch.setattr(queries_module, "_MOST_STATEMENTS", most)
    apart = [Translated(each) for each in ALIKE * 2]
    together = Translated(*ALIKE, *ALIKE)
    assert together.translator.errors == 0
    assert together.items() == sum((each.items() for each in apart), Counter())
    assert together.metrics() == sum((each.metrics() for each in apart), Counter())
    assert together.cached() <= most


def test_request_with_its_query_and_log_record_is_one_trace() -> None:
    found = Translated(request(queries=(query(context=None),), logs=(log(),)))
    client, server = sorted(found.spans, key=lambda span: span.name == "GET /a")
    assert (server.trace_id, server.span_id, server.parent_span_id) == (IDS[0], IDS[1], b"")
    assert (client.trace_id, client.parent_span_id) == (IDS[0], IDS[1])
    assert client.span_id not in {IDS[1], b"\0" * 8}
    (record,) = found.logs
    assert (record.trace_id, record.span_id, record.flags) == (IDS[0], IDS[1], 1)
    exemplars: dict[str, list[Any]] = {
        instrument[1]: [each for series in several for each in series.exemplars if each]
        for instrument, several in found.aggregation.metrics()
    }
    assert exemplars["http.server.request.duration"] == [(pytest.approx(7e-9), 17, IDS[0], IDS[1])]
    assert exemplars["db.client.operation.duration"] == [(pytest.approx(4e-9), 5, IDS[0], client.span_id)]
    assert exemplars["db.client.response.returned_rows"] == [(0, 5, IDS[0], client.span_id)]


def test_request_that_is_not_sampled_is_counted_and_logged() -> None:
    unsampled = (*IDS[:3], 0, False)
    found = Translated(request(context=unsampled, queries=(query(context=None),), logs=(log(),)))
    assert found.spans == []
    (record,) = found.logs
    assert (record.trace_id, record.span_id, record.flags) == (IDS[0], IDS[1], 0)
    counts = Counter({(name, rest[-1]): value for (name, *rest), value in found.metrics().items()})
    assert counts["otel.sdk.log.created", "sum"] == 1
    assert counts["http.server.request.duration", "count"] == counts["db.client.operation.duration", "count"] == 1
    several = [each for _, all_series in found.aggregation.metrics() for each in all_series]
    assert not any(exemplar for each in several for exemplar in each.exemplars)


@pytest.mark.parametrize(
    ("context", "origin"),
    [(IDS, "none"), ((*IDS[:2], b"4" * 8, 1, True), "remote"), ((*IDS[:2], b"4" * 8, 1, False), "local")],
)
def test_origin_of_a_parent_is_counted(context: tuple[Any, ...], origin: str) -> None:
    found = {item for key in Translated(request(context=context)).metrics() for item in key}
    assert {item[1] for item in found if item[0] == "otel.span.parent.origin"} == {origin}


def test_request_without_an_answer_has_no_duration() -> None:
    found = Translated(request(status=0))
    assert len(found.spans) == 1
    assert not [key for key in found.metrics() if key[0] == "http.server.request.duration"]


def test_record_that_cannot_be_exported_costs_no_other(caplog: pytest.LogCaptureFixture) -> None:
    bad = (LOG, "a", None)
    found = Translated(bad, (LOG, *log(context=())), bad, (99,), (LOG, *log("bye", context=())))
    assert [record.body.string_value for record in found.logs] == ["hello", "bye"]
    assert found.translator.errors == 3
    assert len(caplog.records) == 2


def test_newest_events_and_links_of_a_span_are_kept_and_others_counted() -> None:
    events: Any = tuple((number, "event", {}, 0) for number in range(130))
    links: Any = tuple((IDS[0], number.to_bytes(8), False, {}, 0) for number in range(131))
    (span,) = Translated((SPAN, None, IDS, "x", 1, 1, 2, {}, None, events, links, (3, 4, 5))).spans
    assert [event.time_unix_nano for event in span.events] == [*range(2, 130)]
    assert [int.from_bytes(link.span_id) for link in span.links] == [*range(3, 131)]
    lost = span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count
    assert lost == (3, 4 + 2, 5 + 3)


def test_query_that_failed_is_measured_with_its_error() -> None:
    found = Translated((QUERY, *query(error=FAILED)), (QUERY, *query(POSTGRESQL)))
    counts = {
        dict(rest[1:-1])["db.system.name"]: dict(rest[1:-1]).get("error.type")
        for name, *rest in found.metrics()
        if name == "db.client.operation.duration"
    }
    assert counts == {"sqlite": "Error", "postgresql": None}


def test_observations_of_several_processes_are_added_up() -> None:
    level = ("observable_updowncounter", "jobs", "", "", "", "", "", None)
    found = Translated(*((OBSERVATIONS, 1, ((level, ((number, {}),)),), number) for number in (1, 2, 3)))
    assert found.metrics()["jobs", "", "sum"] == 6


@pytest.mark.parametrize(("most", "size"), [(3, 1), (100, 400_000)])
def test_batches_are_bounded_and_complete(most: int, size: int) -> None:
    batches = Batches("logs", {}, most)
    for _ in range(2):
        items = [encode_body(f"{number}{'x' * size}", 9, "INFO") for number in range(8)]
        for item in items:
            batches.add(ScopeData("a"), item)
        assert batches.size >= sum(map(len, items))
        taken = batches.take()
        assert [count for _, count in taken] == [3, 3, 2]
        found = [ExportLogsServiceRequest.FromString(data).resource_logs[0].scope_logs[0] for data, _ in taken]
        bodies = [record.body.string_value for scope in found for record in scope.log_records]
        assert [body.rstrip("x") for body in bodies] == [str(number) for number in range(8)]
        assert batches.size == 0
