"""Each client reads what its server answers; the answers are recorded ones, shortened."""

from telemetry.tools.backends import Alloy, Console, Grafana, Jaeger, Loki, Prometheus, Tempo
from telemetry.tools.backends.alloy import Component, total
from telemetry.tools.backends.grafana import DataSource, DataSourceHealth
from telemetry.tools.backends.tempo import FoundTrace
from telemetry.tools.console.server import Console as ConsoleServer
from tests.support.answering import Answering, Reply

TRACE = "58439e21388397e3000000000000d9f7"
SPAN = {
    "traceId": "WEOeITiDl+MAAAAAAADZ9w==",
    "spanId": "/6Q270pxv7s=",
    "name": "GET /users/{id}",
    "kind": "SPAN_KIND_SERVER",
    "startTimeUnixNano": "1795601730066168243",
}
RESOURCE = {
    "attributes": [
        {"key": "service.name", "value": {"stringValue": "user-api"}},
        {"key": "export.mode", "value": {"stringValue": "collector"}},
        {"key": "process.pid", "value": {"intValue": "7"}},
        {"key": "empty", "value": {}},
    ]
}


def resource_spans(**changed: object) -> list[object]:
    return [{"resource": RESOURCE, "scopeSpans": [{"scope": {"name": "django"}, "spans": [{**SPAN, **changed}]}]}]


def test_tempo_trace() -> None:
    answer = {"trace": {"resourceSpans": resource_spans()}, "metrics": {"inspectedBytes": "169940"}}
    with Answering({f"/api/v2/traces/{TRACE}": answer, "/api/v2/traces/": {"trace": {}, "metrics": {}}}) as server:
        (span,) = Tempo(server.url).trace(TRACE)
        assert Tempo(server.url).trace("0" * 32) == []
    assert (span.trace_id, span.span_id) == (TRACE, "ffa436ef4a71bfbb")
    assert (span.name, span.kind, span.service, span.mode) == ("GET /users/{id}", "server", "user-api", "collector")
    assert span.start_ns == 1795601730066168243


def test_tempo_search_and_count() -> None:
    found = {
        "traceID": TRACE[1:],
        "rootServiceName": "user-api",
        "startTimeUnixNano": "1795601730066168243",
        "durationMs": 46,
        "spanSets": [{"spans": [], "matched": 1}],
    }
    series = {"labels": [{"key": "__name__", "value": {"stringValue": "count_over_time"}}], "value": 3}
    with Answering({"/api/search": {"traces": [found]}, "/api/metrics/query": {"series": [series]}}) as server:
        tempo = Tempo(server.url)
        assert tempo.search("{}", 10.5, 20.5, 7) == [FoundTrace(1795601730066168243, 1)]
        assert tempo.count("{ kind = server }", 10, 20) == 3
    assert server.asked == [
        ("/api/search", {"q": "{}", "start": "10", "end": "21", "limit": "7"}),
        ("/api/metrics/query", {"q": "{ kind = server } | count_over_time()", "start": "10", "end": "21"}),
    ]


def test_jaeger() -> None:
    """Ids in hex, a number for the kind, 404 for nothing."""
    spans = resource_spans(traceId=TRACE, spanId="ffa436ef34a71bfb", kind=2)
    answers = {f"/api/v3/traces/{TRACE}": {"result": {"resourceSpans": spans}}}
    with Answering({**answers, "/api/v3/traces": answers[f"/api/v3/traces/{TRACE}"]}) as server:
        jaeger = Jaeger(server.url)
        (span,) = jaeger.trace(TRACE)
        assert (span.trace_id, span.span_id, span.kind) == (TRACE, "ffa436ef34a71bfb", "server")
        assert jaeger.trace("1" * 32) == []
        assert jaeger.search("user-api", 0, 1, 7) == [span]
    assert server.asked[-1][1]["query.startTimeMin"] == "1970-01-01T00:00:00Z"


def test_loki() -> None:
    streams = [
        {"stream": {"service_name": "user-api", "trace_id": TRACE}, "values": [["1", "first"], ["3", "third"]]},
        {"stream": {"service_name": "user-api"}, "values": [["2", "second"]]},
    ]
    vector = {"resultType": "vector", "result": [{"metric": {}, "value": [1795601760.891, "4"]}]}
    answers = {
        "/loki/api/v1/query_range": {"status": "success", "data": {"resultType": "streams", "result": streams}},
        "/loki/api/v1/query": {"status": "success", "data": vector},
    }
    with Answering(answers) as server:
        loki = Loki(server.url)
        assert [line.line for line in loki.lines("{}", 1, 2)] == ["third", "second", "first"]
        assert loki.lines("{}", 1, 2)[0].labels["trace_id"] == TRACE
        assert loki.count('{a="b"}', 10, 19.5) == 4
    assert server.asked[-1][1] == {"query": 'sum(count_over_time({a="b"} [10s]))', "time": "20000000000"}


def test_prometheus() -> None:
    labels = {"__name__": "up", "job": "user-api"}
    exemplar = {"labels": {"trace_id": TRACE}, "value": "0.047", "timestamp": 1795601730.112}
    target = {
        "labels": labels,
        "scrapeUrl": "http://user-api:8080/metrics",
        "health": "down",
        "lastError": "no",
        "lastScrapeDuration": 0.01,
    }
    data = {
        "query": {"resultType": "vector", "result": [{"metric": labels, "value": [5.0, v]} for v in ("1", "2.5")]},
        "query_exemplars": [{"seriesLabels": labels, "exemplars": [exemplar]}],
        "targets": {"activeTargets": [target]},
        "status/flags": {"enable-feature": "exemplar-storage"},
    }
    with Answering({f"/api/v1/{path}": {"status": "success", "data": one} for path, one in data.items()}) as server:
        prometheus = Prometheus(server.url)
        assert prometheus.value("up") == 3.5
        assert prometheus.traces_of_exemplars("up", 0, 1) == {TRACE}
        (found,) = prometheus.targets()
        assert (found.url, found.health, found.last_error) == ("http://user-api:8080/metrics", "down", "no")
        assert prometheus.flags() == {"enable-feature": "exemplar-storage"}
        server.answers["/api/v1/query"] = {"status": "success", "data": {"resultType": "vector", "result": []}}
        assert prometheus.value("up") is None
        server.answers["/api/v1/query"] = {"status": "success", "data": {"resultType": "scalar", "result": [5.0, "7"]}}
        assert prometheus.value("scalar(up)") == 7.0


def test_alloy() -> None:
    metrics = (
        "# TYPE otelcol_receiver_accepted_spans_total counter\n"
        'otelcol_receiver_accepted_spans_total{transport="grpc"} 3\n'
        'otelcol_receiver_accepted_spans_total{transport="http"} 4\n'
    )
    health = {"state": "unhealthy", "message": "no", "updatedTime": "2026-11-25T10:15:21Z"}
    components = [{"localID": "otelcol.exporter.otlp.tempo", "health": health}]
    with Answering({"/metrics": metrics, "/api/v0/web/components": components}) as server:
        alloy = Alloy(server.url)
        assert total(alloy.metrics(), "otelcol_receiver_accepted_spans_total") == 7
        assert total(alloy.metrics(), "otelcol_other_total") == 0
        assert alloy.components() == [Component("otelcol.exporter.otlp.tempo", "unhealthy", "no")]


def test_grafana() -> None:
    source = {"id": 1, "uid": "tempo", "name": "Tempo", "type": "tempo", "url": "http://tempo:3200"}
    answers = {
        "/api/health": {"database": "ok", "version": "13.2.0"},
        "/api/datasources": [source],
        "/api/datasources/uid/good/health": {"status": "OK", "message": "fine"},
        "/api/datasources/uid/bad/health": Reply({"status": "ERROR", "message": "no"}, 400),
        "/api/datasources/uid/none/health": Reply({"message": "Plugin not found"}, 404),
        "/api/datasources/uid/stopped/health": Reply({"message": "Plugin unavailable"}, 503),
    }
    with Answering(answers) as server:
        grafana = Grafana(server.url)
        assert grafana.version() == "13.2.0"
        assert grafana.data_sources() == [DataSource("tempo", "Tempo", "tempo", "http://tempo:3200")]
        assert grafana.data_source_health("good") == DataSourceHealth(ok=True, message="fine")
        assert grafana.data_source_health("bad") == DataSourceHealth(ok=False, message="no")
        assert grafana.data_source_health("none") == DataSourceHealth(ok=None, message="Plugin not found")
        assert grafana.data_source_health("stopped") == DataSourceHealth(ok=None, message="Plugin unavailable")


def test_console_empty() -> None:
    with ConsoleServer(grpc_port=0, http_port=0, api_port=0) as server:
        console = Console(server.url)
        console.check_ready()
        assert console.accounts()[1] == {}
        assert console.trace("1" * 32).spans == []
        assert (console.latest_logs(5), console.series("a.b", "direct", "", 1), console.targets()) == ({}, ([], 0), [])
