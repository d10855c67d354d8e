"""What is kept as files of OTLP JSON lines, and such files shown again: the format of OpenTelemetry's file exporter."""

import base64
import gzip
import json
import re
import signal
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from playwright.sync_api import expect

from telemetry.tools.console.files import FileError, read_file
from telemetry.tools.console.server import Console
from telemetry.tools.console.storage.retention import Limits, SignalLimits
from telemetry.tools.console.storage.store import Store
from tests.tools.console.browser import Chromium
from tests.tools.console.client import TRACE_ID, logs, many_ids, one_span, post, request, requests_total, traces
from tests.tools.console.test_command import ANY_PORT, console_process, endpoints, run

BEGIN = 1_760_000_000_000_000_000
#: Data of each signal by the field that a line begins with, and the field in it that holds the records.
DATA: dict[str, tuple[type[Message], str]] = {
    "resourceSpans": (TracesData, "spans"), "resourceLogs": (LogsData, "log_records"),
    "resourceMetrics": (MetricsData, "metrics"),
}  # fmt: skip


def at(seconds: float) -> str:
    """A time as the format has it."""
    return str(BEGIN + int(seconds * 1e9))


def values(**given: Any) -> list[dict[str, Any]]:
    """Attributes; an int is a text in the format."""
    kinds = {str: "stringValue", bool: "boolValue", int: "intValue", float: "doubleValue"}
    return [
        {"key": key.replace("__", "."), "value": {kinds[type(value)]: str(value) if type(value) is int else value}}
        for key, value in given.items()
    ]


RESOURCE = {"attributes": values(service__name="user-api", export__mode="direct", service__instance__id="one")}
SCOPE = {"name": "a.library", "version": "1.2", "attributes": values(of="the scope")}
ROOT, CHILD = "051581bf3cb55c13", "00f067aa0ba902b7"
HISTOGRAM = {
    "startTimeUnixNano": at(0), "timeUnixNano": at(20), "count": "5", "sum": 2.5, "bucketCounts": ["1", "4", "0"],
    "explicitBounds": [0.1, 1], "attributes": values(http__route="/users"), "min": 0.05, "max": 0.9,
    "exemplars": [{"timeUnixNano": at(19), "asDouble": 0.9, "spanId": ROOT, "traceId": TRACE_ID}],
}  # fmt: skip
EXPONENTIAL = {
    "startTimeUnixNano": at(0), "timeUnixNano": at(20), "count": "3", "sum": 7, "scale": 1, "zeroCount": "1",
    "positive": {"offset": -2, "bucketCounts": ["0", "2"]}, "negative": {},
}  # fmt: skip
#: One line for each signal, as the file exporter of the collector writes it: ids in hexadecimal, enumerations as
#: numbers, whole numbers of 64 bits as texts.
LINES = [
    {"resourceSpans": [{"resource": RESOURCE, "schemaUrl": "https://opentelemetry.io/schemas/1.37.0", "scopeSpans": [
        {"scope": SCOPE, "spans": [
            {"traceId": TRACE_ID, "spanId": ROOT, "parentSpanId": "", "flags": 257, "kind": 2,
             "name": 'GET "/users/{id}"', "startTimeUnixNano": at(1), "endTimeUnixNano": at(1.25), "traceState": "a=b",
             "attributes": [
                 *values(http__response__status_code=503, cached=False, ratio=0.1, traceId='"traceId":"AAAA"'),
                 {"key": "a", "value": {"arrayValue": {"values": [{"intValue": "7"}, {"bytesValue": "/+8="}]}}}],
             "events": [{"timeUnixNano": at(1.1), "name": "exception", "attributes": values(exception__type="E")}],
             "links": [{"traceId": "12" * 16, "spanId": CHILD, "attributes": values(why="retry")}],
             "status": {"code": 2, "message": "boom"}},
            {"traceId": TRACE_ID, "spanId": CHILD, "parentSpanId": ROOT, "name": "SELECT", "kind": 3,
             "startTimeUnixNano": at(1.1), "endTimeUnixNano": at(1.2), "status": {}}]}]}]},
    {"resourceLogs": [{"resource": RESOURCE, "scopeLogs": [{"scope": {"name": "app.mail"}, "logRecords": [
        {"timeUnixNano": at(1.2), "observedTimeUnixNano": at(1.3), "severityNumber": 17, "severityText": "ERROR",
         "body": {"stringValue": "Mail \u00e9 not sent"}, "attributes": values(attempts=3),
         "traceId": TRACE_ID, "spanId": ROOT},
        {"timeUnixNano": at(30), "severityNumber": 9, "body": {"kvlistValue": {"values": values(a=1)}},
         "traceId": "", "spanId": ""}]}]}]},
    {"resourceMetrics": [{"resource": RESOURCE, "scopeMetrics": [{"scope": SCOPE, "metrics": [
        {"name": "http.server.request.duration", "unit": "s", "description": "Duration", "histogram": {
            "aggregationTemporality": 2, "dataPoints": [HISTOGRAM]}},
        {"name": "users.created", "unit": "{user}", "sum": {
            "aggregationTemporality": 2, "isMonotonic": True, "dataPoints": [
            {"startTimeUnixNano": at(0), "timeUnixNano": at(20), "asInt": "4"},
            {"startTimeUnixNano": at(0), "timeUnixNano": at(35), "asInt": "9007199254740993"}]}},
        {"name": "mails.queued", "sum": {"aggregationTemporality": 1, "dataPoints": [
            {"timeUnixNano": at(20), "asDouble": -1.5}]}},
        {"name": "memory", "unit": "By", "gauge": {"dataPoints": [{"timeUnixNano": at(20), "asDouble": "NaN"}]}},
        {"name": "sizes", "exponentialHistogram": {"aggregationTemporality": 1, "dataPoints": [EXPONENTIAL]}},
        {"name": "old", "summary": {"dataPoints": [
            {"timeUnixNano": at(20), "count": "2", "sum": 3, "quantileValues": [{"quantile": 0.5, "value": 1}]}]}},
    ]}]}]},
]  # fmt: skip


def encoded(lines: Iterable[Any]) -> bytes:
    return b"".join(json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() + b"\n" for line in lines)


def as_base64(item: dict[str, Any]) -> dict[str, Any]:
    """protobuf's JSON has bytes in base64; a key-value pair has no such names of its own."""
    for name in {"traceId", "spanId", "parentSpanId"} & item.keys():
        item[name] = base64.b64encode(bytes.fromhex(item[name])).decode()
    return item


def records(data: bytes) -> Counter[bytes]:
    """Every record of the lines with its resource and scope, however they are grouped; points are records, too."""
    found: Counter[bytes] = Counter()
    for line in data.splitlines():
        [(field, _)] = json.loads(line).items()
        kind, name = DATA[field]
        message: Any = json_format.ParseDict(json.loads(line, object_hook=as_base64), kind())
        for resource in getattr(message, message.DESCRIPTOR.fields[0].name):
            for scope in getattr(resource, resource.DESCRIPTOR.fields[1].name):
                origin = resource.resource, resource.schema_url, scope.scope, scope.schema_url
                for record in getattr(scope, name):
                    for part in points(record) if field == "resourceMetrics" else [record]:
                        found[repr((*map(str, origin), str(part))).encode()] += 1
    return found


def points(metric: Any) -> Iterator[Any]:
    """The metric once for each of its points."""
    kind = metric.WhichOneof("data")
    for point in getattr(metric, kind).data_points:
        single = type(metric)()
        single.CopyFrom(metric)
        del getattr(single, kind).data_points[:]
        getattr(single, kind).data_points.append(point)
        yield single


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The lines in two files, the second one packed."""
    folder = tmp_path_factory.mktemp("otlp")
    plain, packed = folder / "traces.jsonl", folder / "rest.jsonl.gz"
    plain.write_bytes(encoded(LINES[:1]) + b"\n")
    packed.write_bytes(gzip.compress(encoded(LINES[1:2])) + gzip.compress(encoded(LINES[2:])))
    return [plain, packed]


def test_saved_file_holds_what_was_read(files: list[Path], tmp_path: Path) -> None:
    saved = tmp_path / "saved.jsonl"
    sources = files
    for _ in range(2):  # what was saved is shown and saved again
        with Console(grpc_port=0, http_port=0, api_port=0) as console:
            assert [read_file(console.store, path) for path in sources] == [""] * len(sources)
            answer = request(f"{console.url}/api/save")
        assert answer.headers["content-disposition"] == 'attachment; filename="telemetry.jsonl"'
        assert records(answer.body) == records(encoded(LINES))
        saved.write_bytes(answer.body)
        sources = [saved]
    [first, *_] = answer.body.splitlines()
    assert f'"traceId":"{TRACE_ID}"'.encode() in first
    assert b'"kind":2' in first
    assert f'"startTimeUnixNano":"{at(1)}"'.encode() in first


def test_files_are_shown_by_the_command(browser: Chromium, files: list[Path]) -> None:
    with console_process(*ANY_PORT, "--open", *map(str, files)) as process:
        url = endpoints(process)["Console"]
        trace = request(f"{url}/api/traces/{TRACE_ID}").json
        assert [span["name"] for span in trace["spans"]] == ['GET "/users/{id}"', "SELECT"]
        assert [record["body"] for record in trace["logs"]] == ["Mail \u00e9 not sent"]
        with browser.page(url) as watched:
            page = watched.go("/?window=1")
            section = page.get_by_role("region", name="Direct", exact=True)
            expect(section.locator("dl div").filter(has_text="p50").locator("dd")).to_have_text(
                re.compile(r"^2[45]\d ms$")
            )
            watched.go("/metrics/users.created?window=1")
            expect(page.locator("svg.chart")).to_have_attribute("aria-label", "Increase per second: direct 600,480 G")
            watched.go("/traces")
            expect(page.locator("table.rows tbody tr")).to_have_count(1)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def test_part_is_saved_by_the_filter_of_the_page(browser: Chromium, console: Console) -> None:
    base = console.http_endpoint
    for message in (traces(many_ids(3)), one_span("direct")):
        assert post(f"{base}/v1/traces", message).status == 200
    for mode, trace_id in (("direct", TRACE_ID), ("collector", many_ids(1)[0][0]), ("collector", "99" * 16)):
        record = logs(1, mode=mode, trace_id=bytes.fromhex(trace_id), span_id=b"8" * 8, body=trace_id)
        assert post(f"{base}/v1/logs", record).status == 200
    assert post(f"{base}/v1/metrics", requests_total(3, time_ns=BEGIN)).status == 200
    kept: Any = {}
    for path, count in (
        ("/api/save", 8), ("/api/save/traces?mode=direct", 2), ("/api/save/traces?q=mode%3Dcollector", 4),
        ("/api/save/logs?mode=collector", 2), (f"/api/save/traces?trace_id={TRACE_ID}", 2),
        (f"/api/save/logs?trace_id={TRACE_ID}", 1), ("/api/save/traces?service=other", 0),
    ):  # fmt: skip
        kept[path] = request(console.url + path).body
        assert records(kept[path]).total() == count, path
    with browser.page(console.url) as watched:
        for path, saved in (("/traces?mode=direct", "/api/save/traces?mode=direct"), ("/", "/api/save")):
            page = watched.go(path)
            with page.expect_download() as download:
                page.get_by_role("link", name="ave").filter(has_text="OTLP JSON").click()
            assert Path(download.value.path()).read_bytes() == kept[saved]


def test_what_finds_no_room_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        post(f"{console.http_endpoint}/v1/traces", traces(many_ids(450)))
        path.write_bytes(request(f"{console.url}/api/save").body)
    assert len(path.read_bytes().splitlines()) == 3
    store = Store(Limits(spans=SignalLimits(100, 1 << 20)))
    read_file(store, path)
    assert store.retained()["spans"].evicted == 350


SPAN_WITHOUT_ID = {"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "a"}]}]}]}
BAD_FILES = {
    "other.json": (b'{"a": 1}\n', "line 1: expected OTLP JSON lines"),
    "second.json": (encoded(LINES[:1]) + b'{"resourceSpans": 7}\n', "line 2: not the JSON encoding of"),
    "id.json": (b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"x"}]}]}]}', "traceId is 'x'; expected hexa"),
    "cut.gz": (gzip.compress(encoded(LINES))[:-20], "Compressed file ended before"),
    "broken.gz": (gzip.compress(encoded(LINES))[:40] + b"\x00" * 40, "line 1: "),
    "binary": (b"\x00\xff" * 50, "line 1: expected OTLP JSON lines"),
    "long": (b" " * ((32 << 20) + 2), "line 1: longer than"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_file_is_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    data, message = BAD_FILES[name]
    path.write_bytes(data)
    with pytest.raises(FileError) as caught:
        read_file(Store(), path)
    assert str(caught.value).startswith(f"{path}, line ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_file_that_is_missing_ends_the_command(tmp_path: Path) -> None:
    result = run(*ANY_PORT, "--open", str(tmp_path / "none.jsonl"))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"CommandError: {tmp_path}/none.jsonl: No such file or directory\n"


def test_token_file_that_is_missing_is_named_with_its_option(tmp_path: Path) -> None:
    given = ["--scrape", "direct=http://127.0.0.1:1/metrics", "--scrape-token-file", str(tmp_path / "none")]
    result = run(*ANY_PORT, *given)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"CommandError: --scrape-token-file: {tmp_path}/none: No such file or directory\n"


def test_folder_has_no_line(tmp_path: Path) -> None:
    with pytest.raises(FileError) as caught:
        read_file(Store(), tmp_path)
    assert str(caught.value) == f"{tmp_path}: Is a directory"


def test_record_without_ids_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    path.write_bytes(encoded([SPAN_WITHOUT_ID, *LINES]))
    store = Store()
    assert read_file(store, path).startswith(f"{path}: 1 records are left out: 1 without valid ids")
    assert len(store.spans()) == 2
