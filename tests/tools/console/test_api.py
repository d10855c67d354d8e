"""The JSON API, over HTTP."""

import http.client
import json
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock
from urllib.parse import quote, urlencode
from uuid import UUID

import pytest
from django.conf import settings as process_settings
from django.core.exceptions import DisallowedRedirect, RequestDataTooBig, TooManyFieldsSent
from django.http import UnreadablePostError
from django.urls import get_urlconf
from prometheus_client.parser import text_string_to_metric_families

from telemetry.tools.console.receiving.faults import Faults
from telemetry.tools.console.server import Console
from telemetry.tools.console.storage.store import Store
from tests.tools.console.client import (
    JSON,
    SPAN_ID,
    TRACE_ID,
    Answer,
    attributes,
    logs,
    many_ids,
    one_span,
    post,
    request,
    requests_total,
    traces,
)


@pytest.fixture
def filled(console: Console) -> Console:
    """A console with a few records of both modes."""
    base = console.http_endpoint
    for message in (traces(many_ids(3)), one_span("direct", attributes=attributes({"http.route": "/users"}))):
        assert post(f"{base}/v1/traces", message).status == 200
    post(f"{base}/v1/logs", logs(2))
    post(f"{base}/v1/logs", logs(1, mode="direct", trace_id=bytes.fromhex(TRACE_ID), span_id=bytes.fromhex(SPAN_ID)))
    post(f"{base}/v1/logs", logs(1, logger="django", mode="direct", severity_number=17, severity_text="ERROR"))
    for count in (3, 8):
        post(f"{base}/v1/metrics", requests_total(count, time_ns=1_700_000_000_000_000_000 + count))
    return console


def get(console: Console, path: str) -> Any:
    answer = request(console.url + path)
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == JSON
    return answer.json


def test_summary_shows_counts_by_mode(filled: Console) -> None:
    summary = get(filled, "/api/summary")
    assert summary["modes"]["collector"] == {
        "spans": 3,
        "server_spans": 3,
        "duplicate_spans": 0,
        "log_records": 2,
        "access_records": 2,
        "data_points": 2,
        "scraped_samples": 0,
        "requests_otlp": 8,
        "requests_scraped": 0,
        "server_spans_before": 0,
        "access_records_before": 0,
        "spans_at_the_edge": 0,
        "requests": 8,
        "server_spans_by_service": {"user-api": 3},
        "accounts": [],
    }
    assert summary["modes"]["direct"]["access_records"] == 1
    assert summary["retained"]["spans"]["records"] == 4
    assert summary["retained"]["spans"]["evicted"] == 0
    assert summary["scrape_targets"] == []
    assert {"protocol": "http/protobuf", "signal": "traces", "status": 200, "count": 2} in summary["answers"]


def test_traces_are_listed_latest_first(filled: Console) -> None:
    listed = get(filled, "/api/traces")["traces"]
    assert [trace["trace_id"] for trace in listed] == [TRACE_ID, *(ids[0] for ids in reversed(many_ids(3)))]
    first = listed[0]
    assert first.pop("start").endswith("+00:00")
    assert first == {
        "trace_id": TRACE_ID,
        "root_name": "GET",
        "service": "user-api",
        "mode": "direct",
        "duration_ms": 2.0,
        "spans": 1,
        "status": "ok",
        "failed": False,
        "status_code": 0,
    }


@pytest.mark.parametrize(
    ("query", "count"), [("limit=2", 2), ("mode=collector", 3), ("service=user-api", 4), ("service=x", 0)]
)
def test_traces_are_filtered(filled: Console, query: str, count: int) -> None:
    assert len(get(filled, f"/api/traces?{query}")["traces"]) == count


OF_A_USER, AS_UUID = "550e8400-e29b-41d4-a716-446655440000", str(UUID(TRACE_ID))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (OF_A_USER, OF_A_USER.replace("-", "")),
        (f" {TRACE_ID.upper()} ", TRACE_ID),
        (f"00-{'12' * 16}-{SPAN_ID}-01", "12" * 16),
        (f'{{"trace_id": "{"12" * 16}"}}', "12" * 16),
        (f"order.id=1 trace_id={'12' * 16} GET /users", "12" * 16),
        (f"http://127.0.0.1:3000/traces/{'12' * 16}", "12" * 16),
        (f"order.id={AS_UUID}", TRACE_ID),  # such a trace is kept
        (f"order.id={TRACE_ID}", TRACE_ID),
        (f"order.id={OF_A_USER}", None),
        (f"order.id={OF_A_USER.replace('-', '')}", None),
        (f"/users/{OF_A_USER}", None),
        (f"GET /users/{OF_A_USER} 404", None),
    ],
)
def test_trace_id_is_told_from_other_ids(filled: Console, text: str, found: str | None) -> None:
    answer = request(f"{filled.url}/find?q={quote(text)}")
    where = f"/traces/{found}" if found else f"/traces?{urlencode({'q': text})}"
    assert (answer.status, answer.headers["location"]) == (302, where)


def test_trace_has_spans_and_log_records(filled: Console) -> None:
    trace = get(filled, f"/api/traces/{TRACE_ID.upper()}")
    [span], [record] = trace["spans"], trace["logs"]
    assert (trace["trace_id"], span["span_id"], span["parent_span_id"]) == (TRACE_ID, SPAN_ID, None)
    assert (span["kind"], span["status"], span["duration_ms"], span["mode"]) == ("server", "unset", 2.0, "direct")
    assert span["attributes"] == {"http.route": "/users"}
    assert span["resource"]["service.name"] == "user-api"
    assert (record["body"], record["span_id"], record["logger"]) == ("GET /users 200", SPAN_ID, "userapi.access")


def test_metrics_are_listed_by_name(filled: Console) -> None:
    assert get(filled, "/api/metrics")["metrics"] == [
        {
            "name": "http.server.request.duration",
            "source": "otlp",
            "type": "histogram",
            "unit": "s",
            "description": "Duration",
            "modes": ["collector"],
            "series": 1,
        }
    ]


def test_metric_has_series_with_points_over_time(filled: Console) -> None:
    metric = get(filled, "/api/metrics/http.server.request.duration?mode=collector")
    [series] = metric["series"]
    assert series["attributes"] == {"http.route": "/users"}
    assert [point["count"] for point in series["points"]] == [3, 8]
    assert series["points"][1]["bucket_counts"] == [0, 8, 0]
    assert series["points"][1]["time"] == "2023-11-14T22:13:20+00:00"
    assert get(filled, "/api/metrics/http.server.request.duration?points=1")["series"][0]["points"][0]["count"] == 8
    assert get(filled, "/api/metrics/http.server.request.duration?mode=direct")["series"] == []


def test_scraped_metric_has_the_series_of_one_sample(console: Console) -> None:
    text = '# TYPE x histogram\nx_bucket{le="+Inf"} 2\nx_count 2\nx_sum 1\n'
    console.store.add_samples("direct", text_string_to_metric_families(text), 1)
    assert [series["sample"] for series in get(console, "/api/metrics/x?sample=x_count")["series"]] == ["x_count"]
    assert len(get(console, "/api/metrics/x")["series"]) == 3


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 4),
        ("limit=1", 1),
        ("mode=direct", 2),
        ("severity=error", 1),
        ("severity=info", 4),
        ("severity=fatal", 0),
        (f"trace_id={TRACE_ID}", 1),
        (f"trace_id={TRACE_ID}&mode=collector", 0),
    ],
)
def test_logs_are_filtered(filled: Console, query: str, count: int) -> None:
    assert len(get(filled, f"/api/logs?{query}")["logs"]) == count


TRACE_PARAMETERS = "the parameters mode, service, route, status, min_ms, from, to, q, sort, skip, limit"


@pytest.mark.parametrize(
    ("path", "parameter", "value", "expected"),
    [
        ("/api/traces?limit=0", "limit", "0", "an integer from 1 to 1000"),
        ("/api/traces?limit=1001", "limit", "1001", "an integer from 1 to 1000"),
        ("/api/traces?limit=-1", "limit", "-1", "an integer from 1 to 1000"),
        ("/api/traces?limit=1e2", "limit", "1e2", "an integer from 1 to 1000"),
        ("/api/traces?limit=%D9%A3", "limit", "\u0663", "an integer from 1 to 1000"),
        ("/api/traces?limit=" + "9" * 5000, "limit", "9" * 5000, "an integer from 1 to 1000"),
        ("/api/traces?limit=1&limit=2", "limit", "1, 2", "one value"),
        ("/api/traces?mode=", "mode", "", "a text that is not empty"),
        (
            "/api/traces?modus=x",
            "modus",
            "x",
            TRACE_PARAMETERS,
        ),
        ("/api/traces/xyz", "trace_id", "xyz", "32 hexadecimal digits"),
        ("/api/logs?trace_id=" + "g" * 32, "trace_id", "g" * 32, "32 hexadecimal digits"),
        ("/api/logs?severity=loud", "severity", "loud", "trace, debug, info, warn, error, fatal"),
        ("/api/summary?x=1", "x", "1", "the parameters (none)"),
        ("/api/metrics/x?points=x", "points", "x", "an integer from 1 to 10000"),
    ],
)
def test_bad_parameter_is_reported(console: Console, path: str, parameter: str, value: str, expected: str) -> None:
    answer = request(console.url + path)
    assert answer.status == 400
    error = answer.json["error"]
    assert (error["parameter"], error["value"], error["expected"]) == (parameter, value, expected)
    assert error["message"].startswith(f"{parameter} is ")


@pytest.mark.parametrize("path", ["/nothing", "/api", "/api/traces/" + "0" * 32, "/api/metrics/unknown.metric"])
def test_missing_thing_is_not_found_in_json(console: Console, path: str) -> None:
    answer = request(console.url + path)
    assert answer.status == 404
    assert answer.json["error"]["message"]


@pytest.mark.parametrize("path", ["/%ff", "/api/metrics/%ff", "/api/traces?mode=%ff", "/" + "a" * 10_000])
def test_odd_path_is_no_server_error(console: Console, path: str) -> None:
    assert request(console.url + path).status < 500


def test_other_method_is_refused(console: Console) -> None:
    answer = request(console.url + "/api/summary", "DELETE")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "path", ["/", "/api/openapi.json", "/api/save", "/assets/console.css", "/find?q=x", "/no-page"]
)
def test_head_has_the_length_of_a_body_and_leaves_the_connection_open(filled: Console, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", filled.api_port, timeout=10)
    for method in ("HEAD", "HEAD", "GET"):
        connection.request(method, path)
        answer = connection.getresponse()
        length, body = answer.headers["Content-Length"], answer.read()
        if method == "HEAD":
            assert (body, answer.headers["Transfer-Encoding"]) == (b"", None)
            assert (connection.sock is not None, answer.headers["Connection"]) == (True, None)
            assert int(length) > 0 or path.startswith("/find")
        else:
            # A download is sent as it is made.
            assert length == (None if path == "/api/save" else str(len(body)))
    connection.close()


@pytest.mark.parametrize(
    "path", ["/", "/traces", "/find", "/api/", "/api/summary", "/api/faults", f"/traces/{TRACE_ID}"]
)
@pytest.mark.parametrize("query", ["a&" * 2000, "q=" + "%F0%9F%98%80" * 5000, "=&" * 200])
def test_address_that_is_too_long_is_a_bad_request(console: Console, path: str, query: str) -> None:
    answer = request(f"{console.url}{path}?{query}")
    assert answer.status == 400
    assert "Traceback" not in answer.body.decode()
    assert len(answer.json["error"]["message"]) < 2000
    if query[0] == "a":
        assert answer.json["error"]["message"] == "the address has more than 100 parameters"


@pytest.mark.parametrize("charset", ["utf-8", "utf-16", "hex", "idna", "punycode", "\xe9", "none"])
def test_addresses_are_read_as_utf_8(console: Console, charset: str) -> None:
    headers = {"Content-Type": f"text/plain; charset={charset}"}
    assert request(f"{console.url}/api/traces?q=%C3%A9%FF", headers=headers).json == {"traces": [], "more": False}


def test_settings_of_the_process_do_not_bound_addresses(console: Console, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 1
    assert request(f"{console.url}/api/traces?limit=1&q=x").status == 200


@pytest.mark.parametrize(
    "error", [TooManyFieldsSent("x"), RequestDataTooBig("x"), DisallowedRedirect("x"), UnreadablePostError("x")]
)
def test_request_that_django_refuses_is_a_bad_request(
    console: Console, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(Store, "senders", Mock(side_effect=error))
    for path in ("/modes", "/api/services"):
        answer = request(console.url + path)
        assert answer.status == 400
        assert answer.json["error"]["message"] == "the request is too large, or cannot be read to its end"


def test_numbers_that_json_lacks_are_texts(console: Console) -> None:
    message = one_span()
    [span] = message.resource_spans[0].scope_spans[0].spans
    for name, value in (("nan", float("nan")), ("inf", float("inf"))):
        span.attributes.add(key=name).value.double_value = value
    post(console.http_endpoint + "/v1/traces", message)
    assert get(console, f"/api/traces/{TRACE_ID}")["spans"][0]["attributes"] == {"nan": "NaN", "inf": "Infinity"}


def test_largest_time_is_no_server_error(console: Console) -> None:
    last = (1 << 64) - 1
    post(console.http_endpoint + "/v1/traces", one_span(start_time_unix_nano=last, end_time_unix_nano=0))
    [span] = get(console, f"/api/traces/{TRACE_ID}")["spans"]
    assert (span["start"][:4], span["start_unix_nano"], span["duration_ms"]) == ("2554", str(last), 0)


def test_health_is_ok(console: Console) -> None:
    assert get(console, "/healthz") == {"status": "ok"}


def test_index_links_the_api_under_a_strict_policy(console: Console) -> None:
    answer = request(console.url + "/")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b'<a href="/api/summary">' in answer.body
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:3000", "127.0.0.1:80", "127.9.9.9", "[::1]:3000"])
def test_loopback_host_is_served(console: Console, host: str) -> None:
    assert request(console.url + "/healthz", headers={"Host": host}).status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "192.168.1.9", "127.0.0.1.evil.example", "", "[", "a b", "x@[::1"],
)
def test_other_host_is_refused(console: Console, host: str) -> None:
    answer = request(console.url + "/healthz", headers={"Host": host})
    assert answer.status == 400
    assert "expected localhost" in answer.json["error"]["message"]


def send_json(console: Console, method: str, data: object, **headers: str) -> Answer:
    body = json.dumps(data).encode()
    return request(console.url + "/api/faults", method, body, {"Content-Type": JSON, **headers})


def test_faults_cannot_be_set_without_the_option(console: Console) -> None:
    answer = send_json(console, "PUT", {"status": 503})
    assert answer.status == 403
    assert "--allow-faults" in answer.json["error"]["message"]
    assert console.receiver.faults == Faults()


@pytest.fixture
def faulty() -> Iterator[Console]:
    with Console(grpc_port=0, http_port=0, api_port=0, allow_faults=True) as running:
        yield running


def test_faults_are_set_and_taken_back(faulty: Console) -> None:
    assert send_json(faulty, "PUT", {"status": 503, "signals": ["logs"]}).json["faults"]["status"] == 503
    assert faulty.receiver.faults == Faults(status=503, signals=("logs",))
    assert get(faulty, "/api/faults")["faults"]["signals"] == ["logs"]
    assert request(faulty.url + "/api/faults", "DELETE").status == 200
    assert faulty.receiver.faults == Faults()


@pytest.mark.parametrize("data", [{"status": 7}, [], {"x": 1}])
def test_bad_faults_are_reported(faulty: Console, data: object) -> None:
    answer = send_json(faulty, "PUT", data)
    assert answer.status == 400
    assert faulty.receiver.faults == Faults()


def test_deeply_nested_faults_are_reported(faulty: Console) -> None:
    assert request(faulty.url + "/api/faults", "PUT", b"[" * 9_000, {"Content-Type": JSON}).status == 400


def test_write_from_another_site_is_refused(faulty: Console) -> None:
    assert send_json(faulty, "PUT", {}, Origin="http://evil.example").status == 403
    assert send_json(faulty, "PUT", {}, Origin=faulty.url).status == 200


def test_scrape_on_demand_returns_the_targets(console: Console) -> None:
    answer = request(console.url + "/api/scrape", "POST")
    assert (answer.status, answer.json) == (200, {"scrape_targets": []})


def test_console_leaves_the_process_settings_alone(console: Console) -> None:
    before = process_settings.ROOT_URLCONF, get_urlconf()
    get(console, "/api/summary")
    assert (process_settings.ROOT_URLCONF, get_urlconf()) == before
    assert process_settings.ROOT_URLCONF != "telemetry.tools.console.urls"
