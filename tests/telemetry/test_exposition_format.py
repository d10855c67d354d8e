"""What an answer looks like: names, labels, escaping, collisions, exemplars and content negotiation."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from telemetry.exposition import Exposition
from telemetry.shared_metrics import SharedMemoryMetricReader
from telemetry.shared_state import WorkerState
from telemetry.state_directory import create_state_directory
from tests.telemetry.scraped import OPENMETRICS, samples, value

RESOURCE = {
    "service.name": "user-api",
    "service.version": "1.2",
    "deployment.environment.name": "test",
    "export.mode": "direct",
    "service.instance.id": "of one worker",
    "process.pid": 1,
}
CONSTANT = {"service_name": "user-api", "deployment_environment_name": "test", "export_mode": "direct"}


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    state = create_state_directory(tmp_path)
    yield state.path
    state.close()


@pytest.fixture
def meters(directory: Path) -> Iterator[list[Meter]]:
    """Meters of two workers; exemplars are offered for every measurement, as one may configure the SDK to do."""
    readers = [SharedMemoryMetricReader(WorkerState(directory, slot)) for slot in range(2)]
    providers = [
        MeterProvider([reader], shutdown_on_exit=False, exemplar_filter=AlwaysOnExemplarFilter()) for reader in readers
    ]
    yield [provider.get_meter("test") for provider in providers]
    for provider in providers:
        provider.shutdown()


@pytest.fixture
def exposition(directory: Path) -> Exposition:
    return Exposition(directory, RESOURCE)


def text(exposition: Exposition, accept: str = "") -> str:
    return exposition.render(accept)[0].decode()


@pytest.mark.parametrize(
    ("kind", "name_and_unit", "expected"),
    [
        ("counter", ("user.created", "{user}"), "user_created_total"),
        ("counter", ("jobs_total", ""), "jobs_total"),
        ("counter", ("sent", "By"), "sent_bytes_total"),
        ("counter", ("cpu.time", "s"), "cpu_time_seconds_total"),
        ("counter", ("hits", "1"), "hits_total"),
        ("up_down_counter", ("queue.length", "{item}"), "queue_length"),
        ("up_down_counter", ("share", "1"), "share"),
        ("gauge", ("load", "1"), "load_ratio"),
        ("gauge", ("memory.usage", "By"), "memory_usage_bytes"),
        ("gauge", ("speed", "m/s"), "speed_meters_per_second"),
        ("histogram", ("http.server.request.duration", "s"), "http_server_request_duration_seconds_sum"),
    ],
)
def test_names_are_those_of_prometheus(
    meters: list[Meter], exposition: Exposition, kind: str, name_and_unit: tuple[str, str], expected: str
) -> None:
    instrument = getattr(meters[0], f"create_{kind}")(*name_and_unit, "Text")
    for method in ("add", "set", "record"):
        if hasattr(instrument, method):
            getattr(instrument, method)(1)
    for accept in ("", OPENMETRICS):
        assert value(exposition, expected, CONSTANT, accept) == 1


def test_constant_labels_are_on_every_series(meters: list[Meter], exposition: Exposition) -> None:
    meters[0].create_counter("jobs").add(1, {"service.name": "another", "le": "x"})
    meters[0].create_histogram("duration").record(1, {"le": "x"})
    for accept in ("", OPENMETRICS):
        for sample in samples(exposition, accept):
            assert sample.labels.items() >= CONSTANT.items()
    assert value(exposition, "jobs_total", {"exported_service_name": "another", "le": "x"}) == 1
    assert value(exposition, "duration_count", {"exported_le": "x"}) == 1


def test_target_info_has_the_resource_but_no_worker(meters: list[Meter], exposition: Exposition) -> None:
    assert meters
    for accept in ("", OPENMETRICS):
        found = [sample for sample in samples(exposition, accept) if sample.name == "target_info"]
        assert [sample.labels for sample in found] == [{**CONSTANT, "service_version": "1.2"}]


@pytest.mark.parametrize("odd", ['quote " end', "back \\ slash\\n", "line\nbreak", "ünï ☃", "\\", "{}=,", "a\x00b"])
def test_odd_texts_are_escaped(meters: list[Meter], exposition: Exposition, odd: str) -> None:
    meters[0].create_counter("jobs", "", f"Text {odd}").add(1, {"label": odd})
    for accept in ("", OPENMETRICS):
        assert value(exposition, "jobs_total", {"label": odd}, accept) == 1


def test_lone_surrogate_breaks_no_scrape(meters: list[Meter], exposition: Exposition) -> None:
    meters[0].create_counter("jobs").add(1, {"label": "\ud800"})
    assert value(exposition, "jobs_total", {"label": "?"}) == 1


@pytest.mark.parametrize(
    ("attribute", "label"),
    [(True, "true"), (200, "200"), (1.0, "1"), (0.25, "0.25"), (["a", "b"], '["a","b"]'), (b"ab", "YWI=")],
)
def test_attribute_values_are_written_as_otlp_receivers_do(
    meters: list[Meter], exposition: Exposition, attribute: object, label: str
) -> None:
    meters[0].create_counter("jobs").add(1, {"label": attribute})  # type: ignore[dict-item]
    assert value(exposition, "jobs_total", {"label": label}) == 1


def test_series_that_collide_are_one(meters: list[Meter], exposition: Exposition) -> None:
    for meter in meters:
        for attributes in ({"a.b": "x"}, {"a_b": "x"}, {"a-b": "x", "empty": ""}):
            meter.create_counter("jobs").add(1, attributes)
            meter.create_histogram("duration").record(7, attributes)
            meter.create_up_down_counter("active").add(2, attributes)
    for accept in ("", OPENMETRICS):
        assert value(exposition, "jobs_total", {"a_b": "x"}, accept) == 6
        assert value(exposition, "duration_count", {"a_b": "x"}, accept) == 6
        assert value(exposition, "duration_sum", {"a_b": "x"}, accept) == 42
        assert value(exposition, "active", {"a_b": "x"}, accept) == 12


def test_attributes_that_collide_are_joined(meters: list[Meter], exposition: Exposition) -> None:
    meters[0].create_counter("jobs").add(1, {"a_b": "second", "a.b": "first"})
    assert value(exposition, "jobs_total", {"a_b": "first;second"}) == 1


def test_metrics_that_collide_are_shown_once(
    meters: list[Meter], exposition: Exposition, caplog: pytest.LogCaptureFixture
) -> None:
    meters[0].create_counter("a.b").add(1)
    meters[1].create_gauge("a_b").set(5)
    meters[0].create_histogram("h").record(1)
    meters[1].create_counter("h.count").add(5)
    meters[1].create_gauge("h.sum").set(5)
    for accept in ("", OPENMETRICS):
        assert value(exposition, "a_b_total", accept=accept) == 1
        assert value(exposition, "h_sum", accept=accept) == 1
        list(samples(exposition, accept))
    assert "metric a_b is not shown" in caplog.text
    assert "metric h.sum is not shown" in caplog.text


def test_counter_named_created_is_no_creation_time(meters: list[Meter], exposition: Exposition) -> None:
    for name in ("user", "user.created"):
        meters[0].create_counter(name).add(1)
    body = text(exposition, OPENMETRICS)
    assert re.search(r"^user_created_total\{.*\} 1.0$", body, re.MULTILINE)
    assert re.search(r"^user_total\{.*\} 1.0$", body, re.MULTILINE)
    assert not re.search(r"^user_created\{", body, re.MULTILINE)


def test_histograms_with_other_buckets_are_merged(meters: list[Meter], exposition: Exposition) -> None:
    for meter, bounds in zip(meters, ((1, 2), (2, 4)), strict=True):
        histogram = meter.create_histogram("duration", explicit_bucket_boundaries_advisory=bounds)
        for measured in (0.5, 1.5, 3, 9):
            histogram.record(measured)
    for accept in ("", OPENMETRICS):
        found = {s.labels["le"]: s.value for s in samples(exposition, accept) if s.name == "duration_bucket"}
        # What lies between two buckets of one worker is counted in the upper one.
        assert found == {"1.0": 1, "2.0": 4, "4.0": 5, "+Inf": 8}


def test_openmetrics_has_units_and_an_end(meters: list[Meter], exposition: Exposition) -> None:
    meters[0].create_histogram("duration", "s", "Time").record(1)
    meters[0].create_counter("sent", "By").add(1)
    body = text(exposition, OPENMETRICS)
    assert "# UNIT duration_seconds seconds\n" in body
    assert "# TYPE sent_bytes counter\n# UNIT sent_bytes bytes\nsent_bytes_total{" in body
    assert body.endswith("# EOF\n")
    assert "# UNIT" not in text(exposition)
    assert "# EOF" not in text(exposition)


def test_huge_numbers_are_written_as_the_formats_ask(meters: list[Meter], exposition: Exposition) -> None:
    counter = meters[0].create_counter("jobs")
    for _ in range(2):
        counter.add(1.7e308)
    histogram = meters[0].create_histogram("size", explicit_bucket_boundaries_advisory=(0.00001, 1_000_000, 1e22))
    histogram.record(3)
    for accept in ("", OPENMETRICS):
        assert value(exposition, "jobs_total", accept=accept) == float("inf")
        assert 'jobs_total{deployment_environment_name="test",export_mode="direct",service_name="user-api"} +Inf\n' in (
            text(exposition, accept)
        )
        assert re.findall('le="(.*)"', text(exposition, accept)) == ["1e-05", "1e+06", "1e+22", "+Inf"]


def test_exemplars_are_the_newest_of_all_workers(meters: list[Meter], exposition: Exposition) -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    spans = []
    for meter in (meters[1], meters[0]):
        with tracer.start_as_current_span("work") as span:
            meter.create_histogram("duration", "s").record(7)
            meter.create_counter("jobs").add(2)
            spans.append(span.get_span_context())
    with tracer.start_as_current_span("work") as span:
        meters[1].create_histogram("duration", "s").record(300)
        other = span.get_span_context()

    def exemplar_of(name: str, le: str | None = None) -> dict[str, str]:
        found = [s for s in samples(exposition, OPENMETRICS) if s.name == name and s.labels.get("le") == le]
        return dict(found[0].exemplar.labels) if found[0].exemplar else {}

    def ids(context: trace.SpanContext) -> dict[str, str]:
        return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}

    assert exemplar_of("duration_seconds_bucket", "10.0") == ids(spans[1])
    assert exemplar_of("duration_seconds_bucket", "500.0") == ids(other)
    assert exemplar_of("duration_seconds_bucket", "5.0") == {}
    assert exemplar_of("jobs_total") == ids(spans[1])
    with tracer.start_as_current_span("work") as span:
        meters[1].create_histogram("duration", "s").record(8)
        assert exemplar_of("duration_seconds_bucket", "10.0") == ids(span.get_span_context())
    assert "trace_id" not in text(exposition)


def test_exemplars_are_sampled_spans_only(meters: list[Meter], exposition: Exposition) -> None:
    meters[0].create_histogram("duration", "s").record(7)
    tracer = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer("test")
    with tracer.start_as_current_span("work"):
        meters[0].create_histogram("duration", "s").record(7)
    assert "trace_id" not in text(exposition, OPENMETRICS)


def test_content_types_are_those_of_the_formats(exposition: Exposition) -> None:
    assert exposition.render("")[1] == "text/plain; version=0.0.4; charset=utf-8"
    assert exposition.render(OPENMETRICS)[1] == "application/openmetrics-text; version=1.0.0; charset=utf-8"


def test_vanished_directory_is_an_error(tmp_path: Path) -> None:
    # An empty answer would look as if all counters had been reset.
    with pytest.raises(FileNotFoundError):
        Exposition(tmp_path / "gone", {}).render()


def test_promtool_finds_nothing_wrong(meters: list[Meter], exposition: Exposition) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool (Debian: prometheus) is not on this machine")
    for meter in meters:
        meter.create_counter("user.created", "{user}", "Users created").add(1, {"kind": json.dumps("a\\b")})
        meter.create_histogram("http.server.request.duration", "s", "Time").record(1, {"http.route": "/users"})
        meter.create_up_down_counter("http.server.active_requests", "{request}", "Requests in work").add(1)
        meter.create_gauge("load", "1", 'Load "now"\\').set(1)
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=exposition.render("")[0], capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
