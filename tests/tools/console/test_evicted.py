"""What is evicted is gone: no page, search or answer that has been looked at keeps any of it."""

import gc
import itertools
import secrets
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from telemetry.tools.console.asking.timeline import Memory, _State
from telemetry.tools.console.storage.buckets import Buckets
from telemetry.tools.console.storage.points import Exemplar, Instrument, OtlpPoint, SamplePoint, Series
from telemetry.tools.console.storage.records import Origin, Resource, StoredLog, StoredSpan
from telemetry.tools.console.storage.retention import MEBIBYTE, Limits, SignalLimits
from tests.tools.console.client import attributes, logs, requests_total, traces
from tests.tools.console.test_fuzz import Site

KEPT = 20
TRACE = "ab" * 16
METRIC, SCRAPED = "http.server.request.duration", "wait_seconds"
PAGES = (
    "/", "/?window=30", "/traces", "/traces?q=route=/gone", "/traces?q=a%3E5&status=ok", "/traces?sort=duration",
    f"/traces/{TRACE}", "/metrics", "/metrics?mode=gone&text=http", "/logs", "/logs?q=gone", f"/logs?trace_id={TRACE}",
    "/modes", "/find?q=gone", f"/find?q={TRACE}", "/no-page", "/traces?q=severity%3Enone",
    *(f"/metrics/{name}?by=route&window={window}" for name in (METRIC, SCRAPED, "load") for window in (1, 5, 30)),
    "/api/", "/api/openapi.json", "/api/summary", "/api/services", "/api/traces", f"/api/traces/{TRACE}",
    "/api/metrics",
    f"/api/metrics/{METRIC}?q=route=/gone", f"/api/metrics/{SCRAPED}", "/api/logs", "/api/modes", "/api/calls",
    "/api/save", "/api/save/traces?q=gone", "/api/save/logs",
)  # fmt: skip


def fill(site: Site, mode: str) -> None:
    """Send some of each signal, scraped samples too, with points around the edges of a chart's steps."""
    now = time.time_ns()
    ids = [(TRACE, secrets.token_hex(8)), *((secrets.token_hex(16), "1" * 16) for _ in range(KEPT))]
    values = attributes({"route": f"/{mode}", "a": "1"})
    spans = traces(ids, mode, service=mode, name=mode, attributes=values, end_time_unix_nano=now)
    spans.resource_spans[0].scope_spans[0].spans[0].links.add(trace_id=b"l" * 16, span_id=b"l" * 8)
    site.send("traces", spans)
    site.send("logs", logs(KEPT, mode=mode, body=mode, trace_id=bytes.fromhex(TRACE), span_id=b"s" * 8))
    for seconds in (50, 40, 30, 20):
        at = now - seconds * 10**9
        counted = requests_total(100 - seconds, time_ns=at, mode=mode, start_ns=at - 10**11, instance=mode, route=mode)
        scope = counted.resource_metrics[0].scope_metrics[0]
        scope.metrics[0].histogram.data_points[0].exemplars.add(
            trace_id=bytes.fromhex(TRACE), span_id=b"s" * 8, time_unix_nano=at, as_double=0.5
        )
        scope.metrics.add(name="load").gauge.data_points.add(as_int=1, time_unix_nano=at)
        site.send("metrics", counted)
        text = "\n".join(
            [f"# TYPE {SCRAPED} histogram"]
            + [f'{SCRAPED}_bucket{{export_mode="{mode}",le="{le}"}} {100 - seconds}' for le in ("0.1", "+Inf")]
        )
        parse: Any = text_string_to_metric_families
        site.store.add_samples(mode, parse(f"{text}\n# EOF\n"), at)


def mode_of(found: Any) -> str:
    if isinstance(found, Origin | StoredSpan | StoredLog):
        return found.resource.mode
    return str(found.series.mode if isinstance(found, OtlpPoint | SamplePoint) else found.mode)


def alive(mode: str) -> list[str]:
    """What is in memory of a mode, cycles that only the garbage collector would find included."""
    kinds = (Origin, Resource, Series, StoredSpan, StoredLog, OtlpPoint, SamplePoint)
    # Not `isinstance`, which asks the weak reference of another test for the class of an object that may have gone.
    return [t.__name__ for found in gc.get_objects() if issubclass(t := type(found), kinds) and mode_of(found) == mode]


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No garbage collector, which runs rarely in a console, too; what is there already is not looked through."""
    gc.disable()
    gc.collect(1)
    gc.freeze()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("page", PAGES)
def test_page_keeps_nothing_that_is_evicted(page: str) -> None:
    limit = SignalLimits(KEPT, MEBIBYTE)
    site = Site(Limits(spans=limit, logs=limit, points=limit))
    mode = f"gone{secrets.token_hex(4)}"
    fill(site, mode)
    assert "Series" in alive(mode)
    for _ in range(2):
        assert site.get(page.replace("gone", mode))[0] in {200, 302, 400, 404}
    for _ in range(2):
        fill(site, "next")
    assert alive(mode) == []


def state(buckets: int, exemplars: int) -> _State:
    """A state as it is decoded: of numbers and texts that nothing else refers to."""
    bounds = tuple(float(bound) + 0.5 for bound in range(buckets))
    found = [
        Exemplar(0.5 + each, time.time_ns(), secrets.token_hex(16), secrets.token_hex(8), {})
        for each in range(exemplars)
    ]
    return _State(Buckets(bounds, [bound * 2 for bound in bounds]), time.time_ns(), found)


@pytest.fixture(scope="module")
def alone() -> Iterator[ProcessPoolExecutor]:
    """A process without other tests' threads, whose allocations would be traced, too."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        yield process


def bytes_of_charts(buckets: int, exemplars: int, times: int) -> tuple[int, int]:
    """Return the most that was charged, and the most that was allocated, until the first eviction."""
    memory = Memory(MEBIBYTE)
    several = [Series(number, Instrument("a", "otlp", "counter", "", ""), "m", "s", "", {}) for number in range(5000)]
    tracemalloc.start()
    most = peak = 0
    for number in itertools.count():
        memory.put(several[number // times], time.time_ns(), state(buckets, exemplars))
        if memory.bytes < most:
            break
        most, peak = memory.bytes, max(peak, tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    return most, peak


@pytest.mark.parametrize(("buckets", "exemplars"), [(1, 0), (15, 0), (50, 0), (1, 2), (15, 10)])
@pytest.mark.parametrize("times", [1, 60])
def test_memory_of_charts_is_bounded_in_bytes(
    alone: ProcessPoolExecutor, buckets: int, exemplars: int, times: int
) -> None:
    most, peak = alone.submit(bytes_of_charts, buckets, exemplars, times).result()
    assert MEBIBYTE // 2 < most <= MEBIBYTE
    assert peak <= MEBIBYTE * 1.1


def test_large_states_are_not_remembered() -> None:
    memory = Memory()
    series = Series(1, Instrument("a", "otlp", "histogram", "", ""), "m", "s", "", {})
    large = state(1, 1)
    large.exemplars[0].attributes["a"] = "x" * 10_000
    for at, each in enumerate((state(400, 0), state(1, 100), large)):
        memory.put(series, at, each)
        assert memory.get(series, at) is None
    memory.put(series, 9, state(15, 1))
    assert memory.get(series, 9) is not None


def test_searches_leave_little_behind() -> None:
    site = Site()
    fill(site, "kept")
    tracemalloc.start()
    for number in range(200):
        for sign in (">", "="):
            assert site.get(f"/traces?q={number}{'a' * 3900}{sign}5")[0] == 200
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < MEBIBYTE
