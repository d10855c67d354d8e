"""The pages in a real Chromium, with what both modes of the service really send."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.tools.console.browser import Chromium, choose
from tests.tools.console.client import summaries
from tests.tools.console.conftest import VISITS, BothModes

_DURATION = r"[\d.]+ (ms|s)"


@pytest.fixture
def url(both_modes: BothModes) -> str:
    return both_modes.console.url


def trace_ids(both_modes: BothModes, mode: str, name: str) -> list[str]:
    """The ids of the mode's traces with that root span, the latest first."""
    return [trace.trace_id for trace in summaries(both_modes.console.store, mode=mode) if trace.root_name == name]


def rows(page: Page) -> list[str]:
    return page.locator("table.rows tbody tr:not(.group)").all_inner_texts()


def test_overview_has_both_modes_side_by_side(browser: Chromium, url: str, both_modes: BothModes) -> None:
    with browser.page(url) as watched:
        page = watched.go("/")
        for mode, service in both_modes.services.items():
            section = page.get_by_role("region", name=mode.capitalize(), exact=True)
            expect(section).to_contain_text(f"{len(service.workers())} process")
            # The last two seconds are not shown yet, until the page renews itself.
            for name, value in (
                ("Requests/s", r"0\.\d*[1-9]\d*|[1-9][\d.]*"),
                ("Failed", "0 %"),
                ("p50", _DURATION),
                ("p95", _DURATION),
                ("p99", _DURATION),
                ("Freshness", _DURATION),
            ):
                figure = section.locator("dl div").filter(has=page.get_by_text(name, exact=True)).locator("dd").first
                expect(figure).to_have_text(re.compile(f"^({value})$"))
            requests = both_modes.console.store.mode(mode).server_spans
            signals = page.locator(f"#signals-{mode}")
            expect(signals).to_contain_text(
                f"Requests by spans {requests}, by access records {requests}, by metrics {requests}."
            )
            expect(signals).to_contain_text("none")
        left, right = (page.locator(f"#mode-{mode}").bounding_box() for mode in ("collector", "direct"))
        assert left
        assert right
        assert left["y"] == right["y"]
        assert page.locator("svg.chart").count() == 4


def test_overview_shows_what_senders_have_delivered(browser: Chromium, url: str, both_modes: BothModes) -> None:
    with browser.page(url) as watched:
        page = watched.go("/")
        for mode in both_modes.services:
            cells = page.locator(f"#signals-{mode} tbody tr").first.locator("th, td")
            arrived = both_modes.console.store.mode(mode).spans
            # The senders' counts come with their metrics, and until then the page renews itself.
            expect(cells).to_have_text(["Spans", str(arrived), str(arrived), "none"])


def test_overview_renews_itself_until_paused(browser: Chromium, url: str, both_modes: BothModes) -> None:
    before = both_modes.console.store.mode("collector").server_spans
    with browser.page(url) as watched:
        page = watched.go("/")
        count = page.locator("#signals-collector p b").first
        expect(count).to_have_text(str(before))
        both_modes.visit("collector")
        expect(count).to_have_text(str(before + VISITS))
        page.get_by_role("button", name="Pause").click()
        expect(page.locator("[data-state]")).to_have_text("Updates are paused")
        both_modes.visit("collector")
        page.wait_for_timeout(3000)
        expect(count).to_have_text(str(before + VISITS))
        watched.go("/traces")
        expect(page.locator("[data-pause]")).to_have_attribute("aria-pressed", "true")
        watched.go("/")
        page.locator("[data-pause]").click()
        expect(count).to_have_text(str(before + 2 * VISITS))


TRACE_QUERIES = {
    "mode=direct&route=/users/{id}": ["DELETE /users/{id}", "GET /users/{id}"],
    "mode=direct&status=4xx": ["GET /users/{id}", "POST /users"],
    "mode=direct&status=error": ["POST /users"],
    "mode=direct&status=2xx&route=/users": ["GET /users", "POST /users"],
    "mode=direct&service=user-api&q=%22BEGIN+immediate%22": ["DELETE /users/{id}", "POST /users"],
    "min_ms=60000": [],
    "service=other": [],
    "q=no-such-text": [],
}


def test_traces_are_filtered_by_their_address(browser: Chromium, url: str) -> None:
    with browser.page(url) as watched:
        for query, expected in TRACE_QUERIES.items():
            page = watched.go(f"/traces?{query}")
            assert sorted(set(page.locator("table.rows tbody th a").all_inner_texts())) == expected, query
            if not expected:
                expect(page.get_by_role("heading", name="No trace matches")).to_be_visible()


def test_filter_form_makes_an_address_with_what_was_chosen(browser: Chromium, url: str) -> None:
    with browser.page(url) as watched:
        page = watched.go("/traces")
        choose(page.get_by_label("Mode"), "direct")
        expect(page).to_have_url(f"{url}/traces?mode=direct")
        page.wait_for_load_state()  # the script leaves out of an address what was not chosen
        page.get_by_label("Route").fill("/users/{id}")
        page.get_by_role("button", name="Filter").click()
        expect(page).to_have_url(f"{url}/traces?mode=direct&route=%2Fusers%2F%7Bid%7D")
        page.wait_for_load_state()
        assert {"direct" in row for row in rows(page)} == {True}
        page.get_by_role("link", name="Clear").click()
        expect(page).to_have_url(f"{url}/traces")


def test_trace_has_waterfall_attributes_events_and_log_records(
    browser: Chromium, url: str, both_modes: BothModes
) -> None:
    traces = [both_modes.console.store.trace(trace_id) for trace_id in trace_ids(both_modes, "direct", "POST /users")]
    refused = next(spans[0].trace_id for spans in traces if any(span.status == "error" for span in spans))
    with browser.page(url) as watched:
        page = watched.go(f"/traces/{refused}")
        expect(page.get_by_role("heading", level=1)).to_have_text("POST /users")
        assert [text.split()[0] for text in page.locator(".waterfall .name").all_inner_texts()][:2] == ["POST", "BEGIN"]
        bars = [page.locator(".waterfall .track rect").nth(index).bounding_box() for index in range(2)]
        assert bars[0]
        assert bars[1]
        assert bars[0]["x"] <= bars[1]["x"]
        assert bars[0]["width"] > bars[1]["width"]
        page.locator(".waterfall summary").first.click()
        opened = page.locator(".waterfall details[open]")
        expect(opened.locator("dt", has_text="http.route")).to_be_visible()
        expect(opened).to_contain_text("telemetry.django")
        failed = page.locator(".waterfall details.failed").first
        failed.locator("summary").click()
        expect(failed).to_contain_text("Event: exception")
        records = page.locator("table.logs tbody tr").all_inner_texts()
        assert any("POST /users 409" in record for record in records)
        assert any("Conflict: /users" in record for record in records)
        expect(page.locator("#resource + .panel")).to_contain_text("service.instance.id")


def test_trace_stays_open_while_it_renews_itself(browser: Chromium, url: str, both_modes: BothModes) -> None:
    [trace_id, *_] = trace_ids(both_modes, "direct", "GET /users")
    with browser.page(url) as watched:
        page = watched.go(f"/traces/{trace_id}")
        summary = page.locator(".waterfall summary").first
        summary.focus()
        page.keyboard.press("Enter")
        expect(page.locator("[data-state]")).to_contain_text("Updated")
        expect(page.locator(".waterfall details").first).to_have_attribute("open", "")
        expect(page.locator(".waterfall summary").first).to_be_focused()


def test_log_line_opens_its_trace(browser: Chromium, url: str) -> None:
    with browser.page(url) as watched:
        page = watched.go("/logs?mode=direct&q=%22Not+Found%22")
        page.locator("table.logs tbody a").first.click()
        expect(page).to_have_url(re.compile(r"/traces/[0-9a-f]{32}#span-[0-9a-f]{16}$"))
        expect(page.get_by_role("heading", level=1)).to_have_text("GET /users/{id}")
        expect(page.locator(".waterfall details[open]")).to_have_count(1)


LOG_QUERIES: dict[str, tuple[set[str], set[str]]] = {
    # Not all from WARN on: a slow exporter's first scrape is an error in mode direct.
    "severity=warn&q=%2Fusers": ({"WARN"}, {"collector", "direct"}),
    "severity=warn&q=%2Fusers&mode=collector": ({"WARN"}, {"collector"}),
    "q=conflict&mode=direct": ({"WARN"}, {"direct"}),
    "severity=fatal": (set(), set()),
}


def test_logs_are_filtered_by_their_address(browser: Chromium, url: str) -> None:
    with browser.page(url) as watched:
        for query, (levels, modes) in LOG_QUERIES.items():
            page = watched.go(f"/logs?{query}")
            assert set(page.locator("table.logs .badge").all_inner_texts()) == levels, query
            assert set(page.locator("table.logs .mode").all_inner_texts()) == modes, query


def test_logs_come_as_they_arrive(browser: Chromium, url: str, both_modes: BothModes) -> None:
    with browser.page(url) as watched:
        page = watched.go("/logs?mode=direct&q=DELETE")
        before = page.locator("table.logs tbody tr").count()
        assert before > 0
        both_modes.visit("direct")
        expect(page.locator("table.logs tbody tr")).to_have_count(before + 1)


def test_metric_of_both_ways_is_one_line(browser: Chromium, url: str) -> None:
    with browser.page(url) as watched:
        page = watched.go("/metrics?text=request.duration")
        [row] = rows(page)
        for text in ("http.server.request.duration", "Duration of HTTP server requests", "histogram", "collector"):
            assert text in row
        assert "direct" in row
        page.get_by_role("link", name="http.server.request.duration").click()
        expect(page.get_by_text("http_server_request_duration_seconds").first).to_be_visible()
        watched.go("/metrics/http_server_request_duration_seconds")
        expect(page.get_by_role("heading", level=1)).to_have_text("http.server.request.duration")


def test_metric_is_drawn_by_label_as_quantiles_and_heat_map(browser: Chromium, url: str, both_modes: BothModes) -> None:
    both_modes.visit("collector")
    both_modes.visit("direct")
    with browser.page(url) as watched:
        page = watched.go("/metrics/http.server.request.duration?by=http.route&window=1")
        legends = page.locator("figure").first.locator(".legend li")
        expect(legends).to_have_text(["/users", "/users/{id}"])
        titles = ["Measurements per second", "Quantiles, collector", "Quantiles, direct", "Heat map"]
        expect(page.locator("figure h3")).to_have_text(titles)  # each as soon as its step of time is over
        expect(page.locator("svg.heat rect").first).to_be_visible()
        choose(page.get_by_label("By label"), "http.response.status_code")
        expect(page).to_have_url(re.compile("by=http.response.status_code"))
        legends = page.locator("figure").first.locator(".legend li")
        expect(legends).to_have_text(["200", "201", "204", "404", "409"])
        page.locator("figure details summary").first.click()
        expect(page.locator("figure table").first.locator("thead th").first).to_have_text("Until")


def test_exemplar_leads_to_its_trace(browser: Chromium, url: str, both_modes: BothModes) -> None:
    both_modes.visit("direct")
    with browser.page(url) as watched:
        page = watched.go("/metrics/http.server.request.duration?mode=direct&window=1")
        dot = page.locator("svg.chart a").first
        dot.wait_for(state="attached")
        page.get_by_role("button", name="Pause").click()  # so that it stays the first
        target = dot.get_attribute("href")
        dot.focus()
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{url}{target}")
        expect(page.locator(".waterfall li").first).to_be_visible()
        page.go_back()
        page.locator("table.rows tbody a").last.click()
        expect(page.locator(".waterfall li").first).to_be_visible()


def test_gauge_is_drawn_as_its_value(browser: Chromium, url: str) -> None:
    with browser.page(url) as watched:
        page = watched.go("/metrics/process.memory.usage")
        expect(page.locator("svg.chart")).to_have_attribute(
            "aria-label", re.compile(r"^Value: collector [\d.]+ MiB, direct [\d.]+ MiB$")
        )


def test_modes_tell_where_each_signal_goes(browser: Chromium, url: str, both_modes: BothModes) -> None:
    both_modes.visit("direct")  # a worker is active for half a minute
    endpoint = both_modes.console.http_endpoint
    with browser.page(url) as watched:
        page = watched.go("/modes")
        for mode, way in (("collector", f"http/protobuf {endpoint}/v1/metrics"), ("direct", "prometheus")):
            section = page.get_by_role("region", name=f"user-api, {mode}", exact=True)
            destinations = section.locator("table").first.locator("td code").all_inner_texts()
            assert destinations == [f"http/protobuf {endpoint}/v1/traces", way, f"http/protobuf {endpoint}/v1/logs"]
            workers = section.locator("table").nth(1).locator("tbody tr")
            expect(workers).to_have_count(1)
            expect(workers.first).to_contain_text("active")
            expect(section.locator("ol.flow")).to_have_accessible_name(f"The {mode} pipeline")
        expect(page.get_by_role("region", name="Scraped by this console")).to_contain_text("up")
