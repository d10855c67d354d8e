"""The filter of pages and API, term by term."""

import html
import re
from typing import Any

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from telemetry.tools.console.asking.search import Query, QueryError, label_term, parse
from telemetry.tools.console.pages.rendering import ENDPOINTS
from telemetry.tools.console.receiving.ingest import SIGNALS
from telemetry.tools.console.server import Console
from telemetry.tools.console.storage.store import Store
from tests.tools.console.client import attributes, logs, many_ids, one_span, post, request, traces

MS = 10**6
OTHER = "34" * 16
LARGE = 1234567890123456789  # more digits than a float has


def attribute(key: str, **value: object) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(**value))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def store() -> Store:
    """One trace with a bit of everything, and one with next to nothing."""
    message = one_span(
        "direct", name="POST /users", start_time_unix_nano=1, end_time_unix_nano=1 + 250 * MS,
        attributes=[
            *attributes({"http.route": "/users", "user.agent": 'say "hi" \\ bye'}),
            attribute("http.response.status_code", int_value=503),
            attribute("ratio", double_value=0.25),
            attribute("order.id", int_value=LARGE),
            attribute("unset"),
            attribute("cached", bool_value=False),
            *attributes({"note": "Ärger in der Straße"}),
        ],
    )  # fmt: skip
    [span] = message.resource_spans[0].scope_spans[0].spans
    span.status.code = 2
    span.attributes.add(key="tags").value.array_value.values.add(string_value="blue")
    sizes = span.attributes.add(key="sizes").value.array_value.values
    for size in (7, 301):
        sizes.add(int_value=size)
    span.events.add(name="exception", attributes=attributes({"exception.type": "ValueError"}))
    found = Store()
    records = logs(1, logger="app.mail", mode="direct", body="Mail sent", severity_number=13)
    records.resource_logs[0].scope_logs[0].log_records[0].attributes.extend(attributes({"recipient.kind": "admin"}))
    for signal, sent in (
        ("traces", message),
        ("traces", traces([(OTHER, "01" * 8)], service="other", name="tick", kind=1, end_time_unix_nano=0)),
        ("logs", records),
        ("logs", logs(1, mode="collector")),
    ):
        SIGNALS[signal].ingest(found, sent.SerializeToString(), 0)
    return found


BOTH, FIRST, SECOND = ["POST /users", "tick"], ["POST /users"], ["tick"]
TRACE_QUERIES = {
    "": BOTH,
    "http.route=/users": FIRST,
    "http.route!=/users": SECOND,
    "http.route=/user": [],
    "http.response.status_code=503": FIRST,
    "http.response.status_code>=500 http.response.status_code<600": FIRST,
    "http.response.status_code>503": [],
    "ratio<0.3": FIRST,
    f"order.id={LARGE}": FIRST,
    f"order.id={LARGE - 1}": [],
    f"order.id!={LARGE}": SECOND,
    f"order.id!={LARGE - 1}": BOTH,
    f"order.id>{LARGE - 1} order.id<{LARGE + 1}": FIRST,
    f"order.id>={LARGE} order.id<={LARGE}": FIRST,
    f"order.id>{LARGE}": [],
    f"order.id<{LARGE}": [],
    "order.id<1e19": FIRST,
    "order.id<" + "9" * 3000: FIRST,
    "unset=None": [],
    "unset!=None": BOTH,
    "cached=false": FIRST,
    "cached=true": [],
    "tags=blue": FIRST,
    "sizes=7": FIRST,
    "sizes>300": FIRST,
    "sizes>301": [],
    "user.agent>1": [],
    "exception.type=ValueError": FIRST,
    "service.name=other": SECOND,
    "service=user-api mode=direct": FIRST,
    "mode!=direct": SECOND,
    "name=tick": SECOND,
    'name="POST /users"': FIRST,
    "kind=internal": SECOND,
    "status=error": FIRST,
    "status=failed": FIRST,
    "status=ok": SECOND,
    "status!=ok": FIRST,
    "status=5xx": FIRST,
    "duration>200ms": FIRST,
    "duration>=0.25s": FIRST,
    "duration>250ms": [],
    "duration<1us": SECOND,
    "time<1970-01-02": FIRST,
    "time>=1970-01-01T00:00:01Z": SECOND,
    "time>=1970-01-01T00:00:00+01:00 time<2000-01-01": FIRST,
    "valueerror": FIRST,
    "valueerror status=ok": [],
    "50": FIRST,
    "504": [],
    "0.25": FIRST,
    "1234567890123456789": FIRST,
    "FALSE": FIRST,
    "rue": [],
    "ärger": FIRST,
    "STRAßE": FIRST,
    "ärgerlich": [],
    '"say \\"hi\\" \\\\ bye"': FIRST,
    'user.agent="say \\"hi\\" \\\\ bye"': FIRST,
    'a"b': [],
    "=x": [],
}


@pytest.mark.parametrize(("query", "names"), TRACE_QUERIES.items())
def test_traces_are_found(store: Store, query: str, names: list[str]) -> None:
    found = Query(parse(query)).find_traces(store.stored_traces(), 10)
    assert sorted(trace[0].name for trace in found) == names


LOG_QUERIES = {
    "": 2,
    "logger=app.mail": 1,
    "time>2026-01-01": 2,
    "time<2026-01-01": 0,
    "severity>=warn": 1,
    "severity<warn": 1,
    "severity=warn": 1,
    "recipient.kind=admin mail": 1,
    "recipient.kind!=admin": 1,
    "mode=direct service=user-api": 1,
    "export.mode=collector": 1,
    '"mail sent"': 1,
}


@pytest.mark.parametrize(("query", "count"), LOG_QUERIES.items())
def test_log_records_are_found(store: Store, query: str, count: int) -> None:
    found, more = Query(parse(query)).find_logs(store.stored_logs(), 10)
    assert (len(found), more) == (count, False)


@pytest.mark.parametrize(
    ("query", "matches"),
    [
        (f"id={LARGE}", True),
        (f"id={LARGE - 1}", False),
        (f"id!={LARGE - 1}", True),
        (f"id>{LARGE - 1}", True),
        ("port=80.0", True),
        ("port>=80 port<81", True),
        ("route=/users", True),
        ("route>1", False),
        ("route=None", False),
        ("route!=None", True),
        ("missing=None", False),
        ("missing!=None", True),
        ("missing>0", False),
        ('missing=""', True),
        ('route!=""', True),
    ],
)
def test_series_are_chosen_by_their_labels(query: str, matches: bool) -> None:
    labels = {"route": "/users", "port": "80", "id": str(LARGE)}
    assert Query(parse(query, label_term)).matches_labels(labels) == matches


def test_series_without_labels_matches_a_filter_without_terms() -> None:
    assert Query().matches_labels({})


@pytest.mark.parametrize(
    "query", ["duration=1.001ms", "duration=1001us", "duration<=0.001001s", "duration<1001001ns", "duration>1.0009ms"]
)
def test_durations_are_compared_exactly(query: str) -> None:
    found = Store()
    message = one_span(start_time_unix_nano=1, end_time_unix_nano=1 + 1_001_000)
    SIGNALS["traces"].ingest(found, message.SerializeToString(), 0)
    assert Query(parse(query)).find_traces(found.stored_traces(), 1)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("duration>fast", "a duration such as 200ms"),
        ("status=fine", "ok, error, failed, 2xx"),
        ("status>ok", "ok, error, failed, 2xx"),
        ("severity>=loud", "trace, debug, info"),
        ("time>=yesterday", "a time such as 2026-11-28T09:30:00, in UTC"),
        ("size>big", "a number after size>"),
        ("a " * 21, "at most 20 terms"),
    ],
)
def test_bad_query_names_what_is_expected(query: str, expected: str) -> None:
    with pytest.raises(QueryError, match=expected):
        parse(query)


def test_pages_and_api_filter_alike(console: Console) -> None:
    for mode in ("direct", "collector"):
        message = one_span(mode, attributes=attributes({"http.route": f"/{mode}"}))
        message.resource_spans[0].scope_spans[0].spans[0].trace_id = mode.encode().ljust(16)
        assert post(f"{console.http_endpoint}/v1/traces", message).status == 200
        assert post(f"{console.http_endpoint}/v1/logs", logs(1, logger=mode, mode=mode)).status == 200
    for query in ("mode=direct", "route=/direct", "q=http.route%3D/direct", "q=export.mode%3Ddirect&min_ms=1"):
        assert [trace["mode"] for trace in request(f"{console.url}/api/traces?{query}").json["traces"]] == ["direct"]
        assert request(f"{console.url}/traces?{query}").body.count(b'<tr id="trace-') == 1
    for query in ("mode=direct", "logger=direct", "q=logger%3Ddirect", "severity=info&q=export.mode%3Ddirect"):
        assert [record["mode"] for record in request(f"{console.url}/api/logs?{query}").json["logs"]] == ["direct"]
        assert request(f"{console.url}/logs?{query}").body.count(b'class="level-info">') == 1


def test_lists_say_whether_more_matches(console: Console) -> None:
    post(f"{console.http_endpoint}/v1/traces", traces(many_ids(3)))
    post(f"{console.http_endpoint}/v1/logs", logs(3))
    for name in ("traces", "logs"):
        for place, more in (("limit=2", True), ("limit=2&skip=1", False), ("limit=3", False)):
            assert request(f"{console.url}/api/{name}?{place}").json["more"] is more


def test_log_records_beyond_the_size_of_a_page_are_on_the_next(console: Console) -> None:
    for _ in range(3):
        post(f"{console.http_endpoint}/v1/logs", logs(10, body="x" * 200_000))
    shown, address = [], "/logs?limit=40"
    while address:
        page = request(console.url + address).body.decode()
        shown.append(page.count('id="log-'))
        older = re.search(r'<a href="([^"]+)">older</a>', page)
        address = html.unescape(older[1]) if older else ""
    assert (len(shown), sum(shown)) == (2, 30)
    first = request(f"{console.url}/api/logs?limit=40").json
    assert (len(first["logs"]), first["more"]) == (shown[0], True)


def test_document_describes_the_api(console: Console) -> None:
    document = request(f"{console.url}/api/openapi.json").json
    # Imported by the process that runs this, not by each that collects tests: it takes seconds.
    from drf_spectacular.validation import validate_schema

    validate: Any = validate_schema
    validate(document)
    assert len(document["paths"]) == len(ENDPOINTS) == 14
    values = {
        "status": "ok", "severity": "info", "min_ms": "1", "limit": "1", "points": "1", "trace_id": "12" * 16,
              "skip": "1", "sort": "duration", "from": "2026-11-28", "to": "2026-11-28T09:30:00Z", "window": "5",
    }  # fmt: skip
    for path, operations in document["paths"].items():
        parameters = operations["get"]["parameters"]
        if any(parameter["in"] == "path" for parameter in parameters):
            continue
        query = "&".join(f"{each['name']}={values.get(each['name'], 'x')}" for each in parameters)
        assert request(f"{console.url}{path}?{query}").status == 200, path
        assert request(f"{console.url}{path}?unknown=1").status == 400, path
