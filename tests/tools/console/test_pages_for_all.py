"""The pages for everybody: hostile names, keyboards, screen readers, small screens, dark rooms, no script, no data."""

import json
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any, Literal
from urllib.parse import quote

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from playwright.sync_api import Page, expect

from telemetry.tools.console.server import Console
from tests.support.ports import free_port
from tests.tools.console.browser import ALL_RULES, PHONE, Chromium, WatchedPage, choose
from tests.tools.console.client import (
    JSON,
    SPAN_ID,
    TRACE_ID,
    attributes,
    logs,
    many_ids,
    one_span,
    post,
    request,
    requests_total,
    resource,
    traces,
)


def metric_of(name: str, value: int, labels: dict[str, str]) -> Any:
    """A monotonic sum of the mode direct."""
    message = ExportMetricsServiceRequest()
    scope_metrics: Any = message.resource_metrics.add(resource=resource("direct")).scope_metrics.add()
    data = scope_metrics.metrics.add(name=name).sum
    data.aggregation_temporality, data.is_monotonic = 2, name != "heat"
    data.data_points.add(as_int=value, time_unix_nano=time.time_ns() - 20 * 10**9, attributes=attributes(labels))
    return message


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>'\"&{{ 7|add:7 }}{% now 'Y' %}"
OTHER = "12" * 16
PAGES = ("/", "/traces", f"/traces/{TRACE_ID}", "/metrics", "/metrics/http.server.request.duration", "/logs", "/modes")


@pytest.fixture(scope="module")
def filled() -> Iterator[Console]:
    """A console with hostile texts wherever a text can be."""
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        base = console.http_endpoint
        span = one_span("direct", name=HOSTILE, attributes=attributes({HOSTILE: HOSTILE, "http.route": HOSTILE}))
        [sent] = span.resource_spans[0].scope_spans[0].spans
        sent.status.code = 2
        sent.status.message = HOSTILE
        sent.events.add(name=HOSTILE, time_unix_nano=sent.start_time_unix_nano, attributes=attributes({"a": HOSTILE}))
        sent.links.add(trace_id=bytes.fromhex(OTHER), span_id=bytes.fromhex(SPAN_ID))
        assert post(f"{base}/v1/traces", span).status == 200
        others = traces([(OTHER, SPAN_ID), *many_ids(3)], mode=HOSTILE, service=HOSTILE)
        assert post(f"{base}/v1/traces", others).status == 200
        ids = {"trace_id": bytes.fromhex(TRACE_ID), "span_id": bytes.fromhex(SPAN_ID)}
        start = logs(1, logger="telemetry.server", mode="direct", body="Starting <b>x</b> server")
        [record] = start.resource_logs[0].scope_logs[0].log_records
        record.attributes.extend(attributes({"telemetry.traces": HOSTILE, "worker.slot": HOSTILE}))
        for message in (
            logs(2, logger=HOSTILE, mode="direct", body=HOSTILE, severity_text=HOSTILE, **ids),
            logs(1, mode="direct", severity_number=17, severity_text="ERROR"),
            start,
        ):
            assert post(f"{base}/v1/logs", message).status == 200
        for count, time_ns in ((3, sent.start_time_unix_nano - 30 * 10**9), (9, sent.start_time_unix_nano)):
            for route in (HOSTILE, "/users"):
                metric = requests_total(count, time_ns=time_ns, mode="direct", route=route)
                [described] = metric.resource_metrics[0].scope_metrics[0].metrics
                described.description = HOSTILE
                assert post(f"{base}/v1/metrics", metric).status == 200
        yield console


def open_everything(page: Page) -> None:
    """Show all that can be shown, and keep it."""
    if page.evaluate("sessionStorage.getItem('paused')") != "true":
        page.evaluate("sessionStorage.setItem('paused', 'true')")
        page.reload()
    page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")


def test_hostile_text_is_text(browser: Chromium, filled: Console) -> None:
    with browser.page(filled.url) as watched:
        for path in (*PAGES, "/metrics/http.server.request.duration?by=http.route&window=5"):
            page = watched.go(path)
            if path.startswith("/traces/"):
                page.locator(".waterfall summary").first.click()
            assert HOSTILE in page.locator("main").inner_text().replace("\n", " "), path
            assert page.locator("main script, main img").count() == 0, path


def test_hostile_parameter_is_text(browser: Chromium, filled: Console) -> None:
    with browser.page(filled.url) as watched:
        for path in ("/traces?q", "/traces?mode", "/traces?service", "/traces?route", "/logs?q", "/metrics?text"):
            page = watched.go(f"{path}={quote(HOSTILE)}")
            assert page.locator("main script, main img").count() == 0, path
        watched.go(f"/find?q={quote(HOSTILE)}")
        expect(page).to_have_url(re.compile(r"/traces\?q=%3Cscript%3E"))


@pytest.fixture(scope="module")
def empty() -> Iterator[Console]:
    """A console to which nothing has been sent."""
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        yield console


def sideways(page: Page) -> list[str]:
    """What reaches beyond the window's edge and is not inside of an area that scrolls for itself."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll("body *")]
            .filter((one) => !one.closest(".scroll, .top nav, .unseen, .skip, svg") && one.checkVisibility())
            .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
            .map((one) => one.outerHTML.slice(0, 200))"""
    )
    return found


WIDTHS = (390, 768, 1280, 1920)


def assert_fits_every_width(page: Page, path: str) -> None:
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") == width, (path, width)
        assert sideways(page) == [], (path, width)


#: The rules of each colour scheme, in the dark the one that depends on it, and the brightness of the background.
SCHEMES: dict[Literal["dark", "light"], tuple[Sequence[str], range]] = {
    "dark": (("color-contrast",), range(150)),
    "light": (ALL_RULES, range(601, 766)),
}


def assert_has_no_barriers(watched: WatchedPage, path: str) -> None:
    for scheme, (rules, brightness) in SCHEMES.items():
        watched.page.emulate_media(color_scheme=scheme)
        background = watched.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert sum(map(int, re.findall(r"\d+", background)[:3])) in brightness, (path, scheme)
        assert watched.barriers(rules) == [], (path, scheme)


def test_pages_have_no_barriers_and_fit_every_width(browser: Chromium, filled: Console) -> None:
    with browser.page(filled.url) as watched:
        for path in (*PAGES, "/api/"):
            page = watched.go(path)
            open_everything(page)
            assert_has_no_barriers(watched, path)
            assert_fits_every_width(page, path)


def test_pages_without_data_and_errors_have_no_barriers_and_fit_every_width(browser: Chromium, empty: Console) -> None:
    with browser.page(empty.url) as watched:
        for path, status in (*((path, 200) for path in PAGES[:2]), ("/traces?status=x", 400), (f"/{'x' * 300}", 404)):
            page = watched.go(path, status)
            assert_fits_every_width(page, path)
            assert_has_no_barriers(watched, path)


@pytest.fixture(scope="module")
def crowded() -> Iterator[Console]:
    """A console with 10,000 traces of two services, from the last minutes, some failed, some with long names."""
    with Console(grpc_port=0, http_port=0, api_port=0) as console:
        ids, now = many_ids(10_000), time.time_ns()
        for first in range(0, len(ids), 500):
            message = traces(ids[first : first + 500], service=f"shop-{first % 1000}", start_time_unix_nano=0)
            for number, span in enumerate(message.resource_spans[0].scope_spans[0].spans):
                span.start_time_unix_nano = now - (first + number) * 30_000_000
                span.end_time_unix_nano = span.start_time_unix_nano + (1 + number * number) * 10_000
                span.status.code = 2 * (number % 50 == 0)
                span.name = f"GET /a/{'long-' * (number % 9)}path/{number % 20}"
            assert post(f"{console.http_endpoint}/v1/traces", message).status == 200
            assert (
                post(f"{console.http_endpoint}/v1/logs", logs(200, body=f"line {first} {'word ' * 40}")).status == 200
            )
        yield console


def test_pages_with_ten_thousand_traces_fit_every_width(browser: Chromium, crowded: Console) -> None:
    last = f"/traces/{many_ids(10_000)[0][0]}"
    with browser.page(crowded.url) as watched:
        for path in ("/", "/traces", "/traces?sort=duration", "/traces?status=error", last, "/logs", "/modes"):
            assert_fits_every_width(watched.go(path), path)
        page = watched.go("/traces")
        assert page.locator("main svg a").count() == 50  # a point for each trace of the list, which opens it


def test_pages_fit_a_phone(browser: Chromium, filled: Console) -> None:
    with browser.page(filled.url, viewport=PHONE, is_mobile=True, has_touch=True) as watched:
        for path in PAGES:
            page = watched.go(path)
            open_everything(page)
            assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"], path
        assert watched.barriers() == []


def heights(page: Page, selector: str) -> list[float]:
    """The heights of the elements that are shown."""
    found: list[float] = page.eval_on_selector_all(
        selector, "all => all.map((one) => one.getBoundingClientRect().height).filter((height) => height > 0)"
    )
    return found


def test_attributes_are_one_line_each_on_a_phone(browser: Chromium, filled: Console) -> None:
    short = one_span("collector", attributes=attributes({"http.request.method": "POST", "url.path": "/users"}))
    [span] = short.resource_spans[0].scope_spans[0].spans
    span.trace_id = bytes.fromhex("34" * 16)
    assert post(f"{filled.http_endpoint}/v1/traces", short).status == 200
    with browser.page(filled.url, viewport=PHONE, is_mobile=True, has_touch=True) as watched:
        page = watched.go(f"/traces/{'34' * 16}")
        open_everything(page)
        found = heights(page, ".inside .attributes > div")
        assert len(found) > 5
        assert max(found) < 40


def test_losses_are_visible_on_a_phone(browser: Chromium, filled: Console) -> None:
    lost = metric_of("otel.sdk.processor.span.processed", 1234, {"error.type": "queue_full_for_a_long_time"})
    assert post(f"{filled.http_endpoint}/v1/metrics", lost).status == 200
    with browser.page(filled.url, viewport=PHONE, is_mobile=True, has_touch=True) as watched:
        page = watched.go("/")
        badge = page.locator("#signals-direct td .badge").bounding_box()
        panel = page.locator("#signals-direct").bounding_box()
        assert badge
        assert panel
        assert badge["x"] + badge["width"] <= panel["x"] + panel["width"] <= PHONE["width"]
        assert page.locator("#signals-direct .scroll").evaluate("area => area.scrollWidth <= area.clientWidth")


def test_axis_text_has_one_size(browser: Chromium, filled: Console) -> None:
    assert post(f"{filled.http_endpoint}/v1/metrics", metric_of("heat", 5, {})).status == 200
    sizes: dict[int, set[int]] = {width: set() for width in WIDTHS}
    with browser.page(filled.url) as watched:
        for path in ("/metrics/http.server.request.duration?window=5", "/metrics/heat"):
            page = watched.go(path)
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 900})
                found = heights(page, "svg.chart text, svg.heat text")
                assert found
                sizes[width] |= {round(height) for height in found}
        assert page.locator("svg.chart").count() > 0
    assert {width: len(found) for width, found in sizes.items()} == dict.fromkeys(WIDTHS, 1)


def focused(page: Page) -> str:
    text: str = page.evaluate("(document.activeElement.innerText || document.activeElement.id).trim()")
    return text


def test_keyboard_reaches_everything(browser: Chromium, filled: Console) -> None:
    with browser.page(filled.url) as watched:
        page = watched.go("/traces")
        page.keyboard.press("Tab")
        assert focused(page) == "Skip to the content"
        expect(page.locator(":focus")).to_be_in_viewport(ratio=1)
        page.keyboard.press("Enter")
        expect(page.locator("#main")).to_be_focused()
        watched.go("/traces")
        reached = []
        for _ in range(9):
            page.keyboard.press("Tab")
            reached.append(focused(page))
        assert reached[1:] == ["Telemetry console", "Overview", "Traces", "Metrics", "Logs", "Modes", "find", "Open"]
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("/")
        assert focused(page) == "find"
        page.keyboard.type(TRACE_ID)
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{filled.url}/traces/{TRACE_ID}")
        page.locator(".waterfall summary").first.focus()
        page.keyboard.press("Space")
        expect(page.locator(".waterfall details[open]")).to_have_count(1)


def test_choice_by_keyboard_waits_for_the_button(browser: Chromium, filled: Console) -> None:
    with browser.page(filled.url) as watched:
        page = watched.go("/traces")
        mode, sent = page.get_by_label("Mode"), "() => globalThis.sent ?? 0"
        page.evaluate("() => addEventListener('submit', (e) => { sent = 1; e.preventDefault(); }, {once: true})")
        mode.focus()
        page.keyboard.press("ArrowDown")
        expect(mode).not_to_have_value("")
        assert page.evaluate(sent) == 0
        choose(mode, "any")
        assert page.evaluate(sent) == 1
        mode.focus()
        page.keyboard.press("ArrowDown")
        chosen = mode.input_value()
        page.get_by_role("button", name="Filter").press("Enter")
        expect(page).to_have_url(f"{filled.url}/traces?mode={chosen}")


IDS = (
    TRACE_ID,
    f"  {TRACE_ID.upper()} ",
    f"00-{TRACE_ID}-{SPAN_ID}-01",
    json.dumps({"status": 404, "trace_id": TRACE_ID}),
)
WITH_DASHES = f"{TRACE_ID[:8]}-{TRACE_ID[8:12]}-{TRACE_ID[12:16]}-{TRACE_ID[16:20]}-{TRACE_ID[20:]}"


def test_id_pasted_anywhere_opens_its_trace(browser: Chromium, filled: Console) -> None:
    with browser.page(filled.url) as watched:
        for text in IDS:
            page = watched.go("/logs")
            page.evaluate(
                """text => {
                    const clipboardData = new DataTransfer();
                    clipboardData.setData("text", text);
                    document.body.dispatchEvent(new ClipboardEvent("paste", {clipboardData, bubbles: true}));
                }""",
                text,
            )
            expect(page).to_have_url(f"{filled.url}/traces/{TRACE_ID}")


def test_id_in_the_field_opens_its_trace(browser: Chromium, filled: Console) -> None:
    with browser.page(filled.url) as watched:
        for text in (*IDS, WITH_DASHES):
            page = watched.go("/metrics")
            page.get_by_label("Trace id, or text in a trace").fill(text)
            page.get_by_role("button", name="Open").click()
            expect(page).to_have_url(f"{filled.url}/traces/{TRACE_ID}")


def test_text_that_is_no_id_is_looked_for(browser: Chromium, filled: Console) -> None:
    with browser.page(filled.url) as watched:
        page = watched.go("/modes")
        page.get_by_label("Trace id, or text in a trace").fill("ONERROR=")
        page.get_by_role("button", name="Open").click()
        expect(page).to_have_url(f"{filled.url}/traces?q=ONERROR%3D")
        expect(page.locator("table.rows tbody tr")).to_have_count(1)


def test_links_between_traces_lead_both_ways(browser: Chromium, filled: Console) -> None:
    with browser.page(filled.url) as watched:
        page = watched.go(f"/traces/{TRACE_ID}")
        page.locator(".waterfall summary").first.click()
        page.get_by_role("link", name="trace 12121212").click()
        expect(page).to_have_url(f"{filled.url}/traces/{OTHER}#span-{SPAN_ID}")
        page.get_by_role("region", name="Linked from").get_by_role("link").click()
        expect(page).to_have_url(f"{filled.url}/traces/{TRACE_ID}")


def test_empty_page_shows_what_to_do(browser: Chromium, console: Console) -> None:
    with browser.page(console.url) as watched:
        for path in ("/traces", "/metrics", "/logs", "/modes", "/"):
            page = watched.go(path)
            expect(page.get_by_role("heading", name="Nothing has arrived yet")).to_be_visible()
            expect(page.locator("main")).to_contain_text("make demo")
        assert watched.barriers() == []


def test_mode_of_which_only_metrics_come_is_shown(browser: Chromium, console: Console) -> None:
    post(f"{console.http_endpoint}/v1/metrics", requests_total(3, time_ns=1_700_000_000 * 10**9))
    with browser.page(console.url) as watched:
        page = watched.go("/")
        expect(page.get_by_role("region", name="Collector", exact=True)).to_contain_text("counts differ by 3")
        expect(page.locator("#signals-collector")).to_contain_text("by metrics 3")


def test_trace_on_its_way_appears_by_itself(browser: Chromium, console: Console) -> None:
    with browser.page(console.url) as watched:
        page = watched.go(f"/traces/{TRACE_ID}", status=404)
        expect(page.get_by_role("heading", name="This trace has not arrived")).to_be_visible()
        post(f"{console.http_endpoint}/v1/traces", one_span())
        expect(page.locator(".waterfall li")).to_have_count(1)


def test_console_that_is_gone_and_back_is_reported(browser: Chromium) -> None:
    console = Console(grpc_port=0, http_port=0, api_port=free_port())  # which no other process takes meanwhile
    with console:
        url = console.url
        with browser.page(url) as watched:
            watched.expected = ("net::ERR_",)  # which one depends on the moment
            page = watched.go("/")
            console.stop()
            expect(page.get_by_role("status")).to_have_text("The console does not answer; retrying")
            console.start()
            expect(page.get_by_role("status")).to_have_text("The console answers again.")


def test_pages_work_without_script(browser: Chromium, filled: Console) -> None:
    with browser.page(filled.url, java_script_enabled=False) as watched:
        for path in PAGES:
            page = watched.go(path)
            expect(page.get_by_role("link", name="Refresh")).to_be_visible()
            expect(page.locator("[data-pause]")).to_be_hidden()
            expect(page.get_by_role("heading", level=1)).to_be_visible()
        watched.go("/traces")
        page.get_by_label("Mode").select_option("direct")
        page.get_by_role("button", name="Filter").click()
        expect(page.locator("table.rows tbody tr")).to_have_count(1)


def test_error_is_a_page_for_browsers(browser: Chromium, console: Console) -> None:
    errors = (
        ("/nowhere", 404, "no such page"),
        ("/metrics/unknown", 404, "no points of a metric unknown are kept"),
        ("/traces?status=fine", 400, "status is 'fine'; expected ok, error, failed, 2xx"),
        ("/traces?min_ms=fast", 400, "min_ms is 'fast'; expected a duration such as 200ms"),
        ("/traces/xyz", 400, "expected 32 hexadecimal digits"),
        ("/logs?modus=direct", 400, "expected the parameters mode, service, logger, severity, from, to,"),
        ("/?window=7", 400, "expected 1, 5, 15, 30"),
    )
    with browser.page(console.url) as watched:
        for path, status, expected in errors:
            answer = request(console.url + path)
            assert (answer.status, answer.headers["content-type"]) == (status, JSON)
            page = watched.go(path, status)
            expect(page.locator("main")).to_contain_text(expected)
            expect(page.get_by_role("link", name="Go to the overview")).to_be_visible()


def test_readout_shows_the_values_under_the_pointer(browser: Chromium, filled: Console) -> None:
    with browser.page(filled.url) as watched:
        page = watched.go("/metrics/http.server.request.duration?by=http.route&window=5")
        page.locator("svg.chart").first.hover()
        expect(page.locator(".readout").first).to_be_visible()
        expect(page.locator(".readout").first).to_contain_text("/users")


def test_pages_have_the_headers_of_their_policy(console: Console) -> None:
    for path in ("/", "/assets/console.js", "/assets/console.css", "/nowhere", "/api/summary"):
        headers = request(console.url + path).headers
        policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert {policy[name] for name in ("script-src", "style-src", "img-src", "connect-src")} == {"'self'"}
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
    assert request(console.url + "/assets/console.js").headers["cache-control"] == "max-age=31536000, immutable"
    assert request(console.url + "/assets/..%2Fserver.py").status == 404
    assert request(console.url + "/", "POST").status == 405
