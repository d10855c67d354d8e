"""Finding: lists that are sorted and turned, the scatter, repeated statements, groups and labels, calls of services."""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from telemetry.tools.console.receiving.ingest import SIGNALS
from telemetry.tools.console.server import Console
from telemetry.tools.console.storage.retention import Limits, SignalLimits
from telemetry.tools.console.storage.store import Store
from telemetry.tools.console.storage.traces import calls_between
from tests.tools.console.browser import Chromium
from tests.tools.console.client import (
    TRACE_ID,
    attributes,
    logs,
    many_ids,
    post,
    request,
    requests_total,
    traces,
)

MS = 10**6
#: Durations of the traces by their start (milliseconds); the second one has failed.
DURATIONS = (30, 500, 20, 40, 10)
STATEMENT = 'SELECT "users_user"."id" FROM "users_user" WHERE "users_user"."id" = %s'


def n_plus_one(repeated: int) -> Any:
    """A request that asks for a list, and then for each of its rows; between two of them it begins a transaction."""
    now = time.time_ns()
    message = traces([(TRACE_ID, "aa" * 8)], start_time_unix_nano=now, end_time_unix_nano=now + 99 * MS)
    spans = message.resource_spans[0].scope_spans[0].spans

    def query(number: int, name: str, statement: str) -> None:
        begin = now + number * MS
        spans.add(
            trace_id=bytes.fromhex(TRACE_ID), span_id=number.to_bytes(8), parent_span_id=bytes.fromhex("aa" * 8),
            kind=3, name=name, start_time_unix_nano=begin, end_time_unix_nano=begin + MS // 2,
            attributes=attributes({"db.query.text": statement}),
        )  # fmt: skip

    query(1, "SELECT", 'SELECT * FROM "accounts" LIMIT %s')
    query(2, "BEGIN", "BEGIN")
    for number in range(repeated):
        query(10 + number, "SELECT", STATEMENT)
    query(60, "BEGIN", "BEGIN")
    query(61, "BEGIN", "BEGIN")
    query(62, "UPDATE users", "UPDATE users SET name = %s")
    return message


def call(trace_id: int, caller: str, callee: str, duration: int, *, failed: bool = False) -> list[Any]:
    """Two messages: a service's span, and the one of the service that it calls."""
    now = time.time_ns()
    ids = trace_id.to_bytes(16).hex()
    begin: dict[str, Any] = {
        "start_time_unix_nano": now - 100 * MS,
        "end_time_unix_nano": now - 100 * MS + duration * MS,
    }
    client = traces([(ids, "01" * 8)], service=caller, name="call", **{**begin, "kind": 3})
    server = traces([(ids, "02" * 8)], service=callee, name="answer", parent_span_id=bytes.fromhex("01" * 8), **begin)
    if failed:
        server.resource_spans[0].scope_spans[0].spans[0].status.code = 2
    return [client, server]


@pytest.fixture(scope="module")
def found() -> Iterator[Console]:
    """Five traces in a row, log records with attributes, and metrics of several groups."""
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        begin = time.time_ns() - 60 * 10**9
        for number, (ids, duration) in enumerate(zip(many_ids(5), DURATIONS, strict=True)):
            start = begin + number * 10**9
            message = traces(
                [ids], name=f"GET /{number}", start_time_unix_nano=start, end_time_unix_nano=start + duration * MS
            )
            if number == 1:
                message.resource_spans[0].scope_spans[0].spans[0].status.code = 2
            assert post(f"{console.http_endpoint}/v1/traces", message).status == 200
        record = logs(3, logger="app.mail", body="Mail sent", attributes=attributes({"recipient.kind": "admin"}))
        assert post(f"{console.http_endpoint}/v1/logs", record).status == 200
        for name in ("users.created", "http.server.active_requests", "db.client.operation.duration", "process.threads"):
            metric = requests_total(3, time_ns=begin)
            metric.resource_metrics[0].scope_metrics[0].metrics[0].name = name
            assert post(f"{console.http_endpoint}/v1/metrics", metric).status == 200
        for route, count in (("/users", 3), ("/users/{id}", 9)):
            for at in (0, 30):
                metric = requests_total(count * at, time_ns=begin + at * 10**9, route=route)
                assert post(f"{console.http_endpoint}/v1/metrics", metric).status == 200
        yield console


def names(console: Console, query: str) -> list[str]:
    return [trace["root_name"] for trace in request(f"{console.url}/api/traces?{query}").json["traces"]]


def test_traces_are_sorted_and_skipped(found: Console) -> None:
    assert names(found, "") == ["GET /4", "GET /3", "GET /2", "GET /1", "GET /0"]
    assert names(found, "sort=duration") == ["GET /1", "GET /3", "GET /0", "GET /2", "GET /4"]
    assert names(found, "sort=duration&min_ms=20&limit=2&skip=1") == ["GET /3", "GET /0"]
    starts = [trace["start"] for trace in request(f"{found.url}/api/traces").json["traces"]]
    span_of_time = f"from={starts[3][:-6]}&to={starts[1][:-6]}"
    assert names(found, span_of_time) == ["GET /3", "GET /2", "GET /1"]
    assert request(f"{found.url}/api/traces?sort=name").json["error"]["expected"] == "start, duration"


def test_lists_are_turned_back_and_forth(browser: Chromium, found: Console) -> None:
    with browser.page(found.url) as watched:
        page = watched.go("/traces?limit=2")
        names = page.locator("table.rows tbody th a")
        expect(names).to_have_text(["GET /4", "GET /3"])
        for expected in (["GET /2", "GET /1"], ["GET /0"]):
            page.get_by_role("link", name="older").click()
            expect(names).to_have_text(expected)
        expect(page.get_by_role("link", name="older")).to_have_count(0)
        page.get_by_role("button", name="Filter").click()  # its fields hold the time, which the browser must accept
        expect(names).to_have_text(["GET /4", "GET /3", "GET /2", "GET /1", "GET /0"])
        page.go_back()
        page.get_by_role("link", name="newer").click()
        expect(names).to_have_text(["GET /2", "GET /1"])
        watched.go("/traces")
        page.get_by_role("link", name="Duration", exact=True).click()
        expect(names.first).to_have_text("GET /1")
        watched.go("/logs?limit=2")
        page.get_by_role("link", name="older").click()
        expect(page.locator("table.logs tbody tr")).to_have_count(1)


def test_scatter_has_a_point_for_each_trace(browser: Chromium, found: Console) -> None:
    with browser.page(found.url, java_script_enabled=False) as watched:
        page = watched.go("/traces")
        points = page.locator("svg.chart a")
        expect(points).to_have_count(5)
        assert page.locator("svg.chart a.failed").get_attribute("aria-label") == "GET /1, 500 ms"
        highest = min(range(5), key=lambda index: float(points.nth(index).locator("circle").get_attribute("cy") or 0))
        assert points.nth(highest).get_attribute("aria-label") == "GET /1, 500 ms"
        points.nth(highest).locator("circle").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("GET /1")


def test_repeated_statement_is_one_line_and_marked(browser: Chromium, console: Console) -> None:
    assert post(f"{console.http_endpoint}/v1/traces", n_plus_one(12)).status == 200
    with browser.page(console.url) as watched:
        page = watched.go(f"/traces/{TRACE_ID}")
        lines = page.locator(".waterfall > ol > li > details > summary .name")
        expect(lines).to_have_text(
            [
                re.compile(r"GET\s+server"),
                re.compile(r"SELECT accounts\s+client"),
                re.compile(r"BEGIN\s+client"),
                re.compile(r"SELECT users_user\s+12 times: N\+1"),
                re.compile(r"BEGIN\s+client"),
                re.compile(r"BEGIN\s+client"),
                re.compile(r"UPDATE users\s+client"),
            ]
        )
        expect(page.locator(".repeated .took").first).to_have_text("6 ms")
        page.locator(".repeated > summary").click()
        expect(page.locator(".repeated li")).to_have_count(12)
        expect(page.locator(".repeated li summary").first).to_be_visible()
        assert watched.barriers() == []
        page.goto(f"/traces/{TRACE_ID}#span-{(15).to_bytes(8).hex()}")
        expect(page.locator(".repeated details[open] dd", has_text="users_user")).to_be_visible()


def test_two_equal_statements_are_two_lines(console: Console) -> None:
    assert post(f"{console.http_endpoint}/v1/traces", n_plus_one(2)).status == 200
    assert b"N+1" not in request(f"{console.url}/traces/{TRACE_ID}").body


def test_log_record_shows_its_attributes(browser: Chromium, found: Console) -> None:
    with browser.page(found.url) as watched:
        page = watched.go("/logs?logger=app.mail")
        expect(page.locator("table.logs tbody tr")).to_have_count(3)
        attribute = page.locator("table.logs dd", has_text="admin").first
        expect(attribute).to_be_hidden()
        page.locator("table.logs summary").first.click()
        expect(attribute).to_be_visible()
        expect(page.locator("[data-state]")).to_contain_text("Updated")
        expect(attribute).to_be_visible()


def test_logs_are_paused_while_they_are_scrolled(browser: Chromium, console: Console) -> None:
    assert post(f"{console.http_endpoint}/v1/logs", logs(100)).status == 200
    with browser.page(console.url) as watched:
        page = watched.go("/logs")
        rows = page.locator("table.logs tbody tr")
        expect(rows).to_have_count(100)
        page.evaluate("scrollTo(0, 1500)")
        expect(page.locator("[data-state]")).to_have_text("Paused while it is scrolled")
        before = page.locator("table.logs tbody tr:nth-child(40)").bounding_box()
        assert post(f"{console.http_endpoint}/v1/logs", logs(60, body="new")).status == 200
        # Two turns of the script later, in which it has had the time to ask.
        page.evaluate("new Promise((done) => setTimeout(done, 2 * document.getElementById('live').dataset.every))")
        assert page.locator("table.logs tbody tr:nth-child(40)").bounding_box() == before
        expect(page.get_by_text("new", exact=True)).to_have_count(0)
        page.evaluate("scrollTo(0, 0)")
        expect(page.get_by_text("new", exact=True)).to_have_count(60)


def test_list_keeps_its_place_when_it_is_renewed(browser: Chromium, console: Console) -> None:
    """A list of traces goes on while it is scrolled; the line at the top of the window stays there."""
    now = time.time_ns()
    ids = many_ids(60)
    post(f"{console.http_endpoint}/v1/traces", traces(ids[:30], start_time_unix_nano=now, end_time_unix_nano=now + MS))
    with browser.page(console.url) as watched:
        page = watched.go("/traces?limit=100")
        page.evaluate("scrollTo(0, 900)")
        row = page.locator(f"#trace-{ids[5][0]}")
        before = row.bounding_box()
        later = traces(ids[30:], start_time_unix_nano=now + MS, end_time_unix_nano=now + 2 * MS)
        post(f"{console.http_endpoint}/v1/traces", later)
        expect(page.locator("table.rows tbody tr")).to_have_count(60)
        after = row.bounding_box()
        assert before
        assert after
        assert abs(after["y"] - before["y"]) < 2


def test_metrics_are_grouped_the_service_first(browser: Chromium, found: Console) -> None:
    with browser.page(found.url) as watched:
        page = watched.go("/metrics")
        groups = page.locator("table.metrics .group").all_inner_texts()
        assert groups == ["The service's own", "HTTP", "Database", "Process and runtime"]
        first = page.locator("table.metrics tbody").first.locator("a")
        expect(first).to_have_text(["users.created"])


def test_metric_is_filtered_by_the_values_of_labels(browser: Chromium, found: Console) -> None:
    address = "/metrics/http.server.request.duration?by=http.route&window=5"
    with browser.page(found.url) as watched:
        page = watched.go(address)
        legend = page.locator("figure").first.locator(".legend li")
        expect(legend).to_have_text(["/users", "/users/{id}"])
        page.get_by_label("Labels").fill("http.route=/users/{id}")
        page.get_by_role("button", name="Show").click()
        expect(legend).to_have_text(["/users/{id}"])
        page.get_by_role("link", name="Clear").click()
        expect(page.get_by_label("Labels")).to_have_value("")
    series = request(f"{found.url}/api/metrics/http.server.request.duration?q=http.route!%3D/users").json["series"]
    assert [each["attributes"]["http.route"] for each in series] == ["/users/{id}"]


def test_services_that_call_each_other_are_listed(browser: Chromium, console: Console) -> None:
    an_hour_ago = traces([("ab" * 16, "01" * 8)], end_time_unix_nano=time.time_ns() - 3600 * 10**9)
    assert post(f"{console.http_endpoint}/v1/traces", an_hour_ago).status == 200
    calls = [call(number, "shop", "user-api", 10 * number, failed=number == 1) for number in range(1, 21)]
    for message in (message for pair in [*calls, call(99, "user-api", "mail", 5)] for message in pair):
        assert post(f"{console.http_endpoint}/v1/traces", message).status == 200
    first, second = request(f"{console.url}/api/calls?window=1").json["calls"]
    assert (first["caller"], first["callee"], second["callee"]) == ("shop", "user-api", "mail")
    assert first["calls_per_second"] == pytest.approx(20 / 60)
    assert first["error_ratio"] == pytest.approx(0.05)
    assert first["p95_seconds"] == pytest.approx(0.19)
    with browser.page(console.url) as watched:
        page = watched.go("/?window=1")
        region = page.get_by_role("region", name="Calls between services")
        rows = [re.compile(r"shop\s*user-api\s*0.333\s*5 %\s*190 ms"), re.compile("mail")]
        expect(region.locator("tbody tr")).to_have_text(rows)
        assert watched.barriers() == []


def test_calls_are_those_of_the_time_that_is_asked_for() -> None:
    store = Store()
    for message in call(1, "shop", "user-api", 10):
        SIGNALS["traces"].ingest(store, message.SerializeToString(), 0)
    now_ns = time.time_ns()
    assert len(calls_between(store.stored_traces(), 60, now_ns)) == 1
    assert calls_between(store.stored_traces(), 60, now_ns + 61 * 10**9) == []
    single = Store()
    SIGNALS["traces"].ingest(single, n_plus_one(3).SerializeToString(), 0)
    assert single.calls(60) == []


def test_calls_are_per_second_of_the_known_time() -> None:
    store = Store(Limits(spans=SignalLimits(21, 1 << 30)))
    for number in range(11):
        for message in call(1 + number, "shop", "user-api", 10):
            SIGNALS["traces"].ingest(store, message.SerializeToString(), 0)
    kept = store.stored_traces()
    last_ns = max(trace.end_ns for trace in kept)
    for later, window, rate in ((30, 60, 10 / 30), (1, 60, 10 / 2), (100, 300, 0.1)):
        [found] = calls_between(kept, window, last_ns + later * 10**9)
        assert found.calls_per_second == pytest.approx(rate, rel=0.05)


def test_modes_are_compared_in_the_api(found: Console) -> None:
    [mode] = request(f"{found.url}/api/modes?window=5").json["modes"]
    assert (mode["mode"], mode["failed_ratio"]) == ("collector", pytest.approx(0.2))
    assert mode["processes"] + mode["silent_processes"] == 1
    assert 0.45 < mode["duration_seconds"]["p99"] < 0.55
    assert {signal["name"]: signal["arrived"] for signal in mode["signals"]}["spans"] == 5
