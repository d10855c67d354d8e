"""What an answer looks like: names, labels, escaping, collisions, exemplars and content negotiation."""

import json
import re
import shutil
import subprocess
from typing import Any

import pytest

from telemetry.exporting.metrics.aggregation import Aggregation
from telemetry.exposition import Exposition
from tests.exposition.recorded import AllAttributes, Worker
from tests.exposition.scraped import OPENMETRICS, samples, value

RESOURCE = {
    "service.name": "user-api",
    "service.version": "1.2",
    "deployment.environment.name": "test",
    "export.mode": "direct",
    "service.instance.id": "of the run",
    "process.pid": 1,
    "thread.name": "main",
}
CONSTANT = {"service_name": "user-api", "deployment_environment_name": "test", "export_mode": "direct"}


@pytest.fixture
def aggregation() -> Aggregation:
    return Aggregation(AllAttributes())


@pytest.fixture
def workers(aggregation: Aggregation) -> list[Worker]:
    """Two processes, whose instruments are of different scopes."""
    return [Worker(aggregation, number) for number in range(2)]


@pytest.fixture
def exposition(aggregation: Aggregation) -> Exposition:
    return Exposition(aggregation, RESOURCE)


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
        ("updowncounter", ("queue.length", "{item}"), "queue_length"),
        ("updowncounter", ("share", "1"), "share"),
        ("gauge", ("load", "1"), "load_ratio"),
        ("gauge", ("memory.usage", "By"), "memory_usage_bytes"),
        ("gauge", ("speed", "m/s"), "speed_meters_per_second"),
        ("histogram", ("http.server.request.duration", "s"), "http_server_request_duration_seconds_sum"),
    ],
)
def test_names_are_those_of_prometheus(
    workers: list[Worker], exposition: Exposition, kind: str, name_and_unit: tuple[str, str], expected: str
) -> None:
    getattr(workers[0], kind)(*name_and_unit, "Text")(1)
    for accept in ("", OPENMETRICS):
        assert value(exposition, expected, CONSTANT, accept) == 1


def test_constant_labels_are_on_every_series(workers: list[Worker], exposition: Exposition) -> None:
    workers[0].counter("jobs")(1, {"service.name": "another", "le": "x"})
    workers[0].histogram("duration")(1, {"le": "x"})
    for accept in ("", OPENMETRICS):
        for sample in samples(exposition, accept):
            assert sample.labels.items() >= CONSTANT.items()
    assert value(exposition, "jobs_total", {"exported_service_name": "another", "le": "x"}) == 1
    assert value(exposition, "duration_count", {"exported_le": "x"}) == 1


def test_no_attribute_is_lost_that_has_the_name_of_a_constant_label(
    workers: list[Worker], exposition: Exposition
) -> None:
    workers[0].counter("jobs")(1, {"service.name": "a", "exported.service.name": "b", "exported.export.mode": "c"})
    labels = {"exported_exported_service_name": "a", "exported_service_name": "b", "exported_export_mode": "c"}
    for accept in ("", OPENMETRICS):
        assert value(exposition, "jobs_total", labels | CONSTANT, accept) == 1


def test_target_info_has_the_resource_but_no_process(exposition: Exposition) -> None:
    for accept in ("", OPENMETRICS):
        found = [sample for sample in samples(exposition, accept) if sample.name == "target_info"]
        assert [sample.labels for sample in found] == [
            {**CONSTANT, "service_version": "1.2", "service_instance_id": "of the run"}
        ]


@pytest.mark.parametrize("odd", ['quote " end', "back \\ slash\\n", "line\nbreak", "ünï ☃", "\\", "{}=,", "a\x00b"])
def test_odd_texts_are_escaped(workers: list[Worker], exposition: Exposition, odd: str) -> None:
    workers[0].counter("jobs", "", f"Text {odd}")(1, {"label": odd})
    for accept in ("", OPENMETRICS):
        assert value(exposition, "jobs_total", {"label": odd}, accept) == 1


def test_lone_surrogate_breaks_no_scrape(workers: list[Worker], exposition: Exposition) -> None:
    workers[0].counter("jobs")(1, {"label": "\ud800"})
    assert value(exposition, "jobs_total", {"label": "?"}) == 1


@pytest.mark.parametrize(
    ("attribute", "label"),
    [(True, "true"), (200, "200"), (1.0, "1"), (0.25, "0.25"), (["a", "b"], '["a","b"]'), (b"ab", "YWI="),
     (1e16, "10000000000000000"), (1234567890123457.0, "1234567890123457"), (-1e21, "-1e+21"), (1e20, "1" + "0" * 20),
     (0.00001, "0.00001"), (1.5e-7, "1.5e-7"), (-0.0, "-0"), (0.0, "0"), (2.5, "2.5"), (1.7e308, "1.7e+308")],
)  # fmt: skip
def test_attribute_values_are_written_as_otlp_receivers_do(
    workers: list[Worker], exposition: Exposition, attribute: object, label: str
) -> None:
    workers[0].counter("jobs")(1, {"label": attribute})
    assert value(exposition, "jobs_total", {"label": label}) == 1


def test_series_that_collide_are_one(workers: list[Worker], exposition: Exposition) -> None:
    for worker in workers:
        for attributes in ({"a.b": "x"}, {"a_b": "x"}, {"a-b": "x", "empty": ""}):
            worker.counter("jobs")(1, attributes)
            worker.histogram("duration")(7, attributes)
            worker.updowncounter("active")(2, attributes)
    for accept in ("", OPENMETRICS):
        assert value(exposition, "jobs_total", {"a_b": "x"}, accept) == 6
        assert value(exposition, "duration_count", {"a_b": "x"}, accept) == 6
        assert value(exposition, "duration_sum", {"a_b": "x"}, accept) == 42
        assert value(exposition, "active", {"a_b": "x"}, accept) == 12


def test_attributes_that_collide_are_joined(workers: list[Worker], exposition: Exposition) -> None:
    workers[0].counter("jobs")(1, {"a_b": "second", "a.b": "first"})
    assert value(exposition, "jobs_total", {"a_b": "first;second"}) == 1


def test_metrics_that_collide_are_shown_once(
    workers: list[Worker], exposition: Exposition, caplog: pytest.LogCaptureFixture
) -> None:
    workers[0].counter("a.b")(1)
    workers[1].gauge("a_b")(5)
    workers[0].histogram("h")(1)
    workers[1].counter("h.count")(5)
    workers[1].gauge("h.sum")(5)
    for accept in ("", OPENMETRICS):
        assert value(exposition, "a_b_total", accept=accept) == 1
        assert value(exposition, "h_sum", accept=accept) == 1
        list(samples(exposition, accept))
    assert "metric a_b is not shown" in caplog.text
    assert "metric h.sum is not shown" in caplog.text


@pytest.mark.parametrize("kind", ["counter", "gauge", "histogram"])
@pytest.mark.parametrize("name", ["target", "target.info"])
def test_resource_keeps_its_name(workers: list[Worker], exposition: Exposition, kind: str, name: str) -> None:
    getattr(workers[0], kind)(name)(5)
    for accept in ("", OPENMETRICS):
        assert value(exposition, "target_info", accept=accept) == 1


def test_families_are_sorted_by_name(workers: list[Worker], exposition: Exposition) -> None:
    for name in ("b", "c", "a"):
        workers[0].counter(name)(1)
    for accept in ("", OPENMETRICS):
        shown = [sample.name[0] for sample in samples(exposition, accept) if sample.name.endswith("_total")]
        assert shown == ["a", "b", "c"]


def test_metric_that_cannot_be_written_stops_no_other(
    aggregation: Aggregation, exposition: Exposition, caplog: pytest.LogCaptureFixture
) -> None:
    """As from the snapshot of a release that took any description, or a sum beyond any float."""
    odd: Any
    for odd in (("unit", 1, ""), ("description", "", ("O", "r"))):
        aggregation.record(("counter", *odd, "", "", "", None), 1, {})
    for _ in range(2):
        aggregation.record(("counter", "huge", "", "", "", "", "", None), 10**308, {})
    aggregation.record(("counter", "orders", "", "", "", "", "", None), 1, {})
    for accept in ("", OPENMETRICS, ""):
        assert {each.name.removesuffix("_created") for each in samples(exposition, accept)} == {
            "target_info", "orders_total", *(["orders"] if accept else []),
        }  # fmt: skip
    for name in ("unit", "description", "huge"):
        assert caplog.text.count(f"metric {name} is not shown") == 1


def test_metric_of_another_kind_than_before_takes_the_name(
    aggregation: Aggregation, workers: list[Worker], caplog: pytest.LogCaptureFixture
) -> None:
    workers[0].counter("jobs")(3)
    following = Aggregation(AllAttributes())
    following.restore(aggregation.state())
    exposition = Exposition(following, RESOURCE)
    assert value(exposition, "jobs_total") == 3
    Worker(following, 0).gauge("jobs")(5)
    for accept in ("", OPENMETRICS):
        assert value(exposition, "jobs", accept=accept) == 5
        assert value(exposition, "jobs_total", accept=accept) is None
    assert "metric jobs is not shown" in caplog.text


def test_metric_without_a_name_in_prometheus_breaks_no_scrape(
    workers: list[Worker], exposition: Exposition, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("温度", "", "-"):
        workers[0].gauge(name)(1)
        workers[0].counter(name, "s")(1)
    workers[0].counter("jobs")(2, {"": "x", "温度": "y"})
    for accept in ("", OPENMETRICS):
        shown = [sample for sample in samples(exposition, accept) if not sample.name.endswith("_created")]
        assert [sample.name for sample in shown] == ["target_info", "jobs_total"]
        assert shown[1].labels["key_"] == "x;y"
    assert [message for message in caplog.messages if "not shown" in message] == [
        f"metric {name} is not shown: its name has no character that Prometheus allows" for name in ("温度", "", "-")
    ]


def test_counter_named_created_is_no_creation_time(workers: list[Worker], exposition: Exposition) -> None:
    for name in ("user", "user.created"):
        workers[0].counter(name)(1)
    body = text(exposition, OPENMETRICS)
    assert re.search(r"^user_created_total\{.*\} 1.0$", body, re.MULTILINE)
    assert re.search(r"^user_total\{.*\} 1.0$", body, re.MULTILINE)
    assert not re.search(r"^user_created\{", body, re.MULTILINE)


def test_histograms_with_other_buckets_are_merged(workers: list[Worker], exposition: Exposition) -> None:
    for worker, bounds in zip(workers, ((1, 2), (2, 4)), strict=True):
        record = worker.histogram("duration", bounds=bounds)
        for measured in (0.5, 1.5, 3, 9):
            record(measured)
    for accept in ("", OPENMETRICS):
        found = {s.labels["le"]: s.value for s in samples(exposition, accept) if s.name == "duration_bucket"}
        # The first one's; what lies between two of them is counted in the upper one.
        assert found == {"1.0": 1, "2.0": 4, "+Inf": 8}
        assert value(exposition, "duration_count", accept=accept) == 8


def test_openmetrics_has_units_and_an_end(workers: list[Worker], exposition: Exposition) -> None:
    workers[0].histogram("duration", "s", "Time")(1)
    workers[0].counter("sent", "By")(1)
    body = text(exposition, OPENMETRICS)
    assert "# UNIT duration_seconds seconds\n" in body
    assert "# TYPE sent_bytes counter\n# UNIT sent_bytes bytes\nsent_bytes_total{" in body
    assert body.endswith("# EOF\n")
    assert "# UNIT" not in text(exposition)
    assert "# EOF" not in text(exposition)


def test_odd_helps_and_labels_are_those_of_the_formats(workers: list[Worker], exposition: Exposition) -> None:
    workers[0].gauge("load", "1", 'a "b"\\\n')(1, {"exported.service.name": "x", "k": ["ü", "b"]})
    workers[0].counter("jobs")(1)
    for accept in ("", OPENMETRICS):
        assert value(exposition, "load_ratio", {"k": '["ü","b"]', **CONSTANT}, accept) == 1
    body = text(exposition, OPENMETRICS)
    assert '# HELP load_ratio a \\"b\\"\\\\\\n\n# TYPE load_ratio gauge\n# UNIT load_ratio ratio\n' in body
    assert "# HELP jobs jobs\n" in body
    assert '# HELP load_ratio a "b"\\\\\\n\n' in text(exposition)


def test_huge_numbers_are_written_as_the_formats_ask(workers: list[Worker], exposition: Exposition) -> None:
    record = workers[0].counter("jobs")
    for _ in range(2):
        record(1.7e308)
    workers[0].histogram("size", bounds=(0.00001, 1_000_000, 1e22))(3)
    for accept in ("", OPENMETRICS):
        assert value(exposition, "jobs_total", accept=accept) == float("inf")
        assert 'jobs_total{deployment_environment_name="test",export_mode="direct",service_name="user-api"} +Inf\n' in (
            text(exposition, accept)
        )
        assert re.findall('le="(.*)"', text(exposition, accept)) == ["1e-05", "1e+06", "1e+22", "+Inf"]


def exemplar_of(exposition: Exposition, name: str, le: str | None = None) -> dict[str, str]:
    found = [s for s in samples(exposition, OPENMETRICS) if s.name == name and s.labels.get("le") == le]
    return dict(found[0].exemplar.labels) if found[0].exemplar else {}


def in_span(worker: Worker, number: int, *, sampled: bool = True) -> dict[str, str]:
    """Let the worker's measurements be those of another span; return its ids."""
    trace_id, span_id = number.to_bytes(16), number.to_bytes(8)
    worker.span = trace_id, span_id, sampled
    return {"trace_id": trace_id.hex(), "span_id": span_id.hex()}


def test_exemplars_are_the_newest_of_all_workers(workers: list[Worker], exposition: Exposition) -> None:
    for worker, number in ((workers[1], 1), (workers[0], 2)):
        newest = in_span(worker, number)
        worker.histogram("duration", "s")(7, {"label": "a # b % d"})
        worker.counter("jobs")(2, {"label": "a # b % d"})
    other = in_span(workers[1], 3)
    workers[1].histogram("duration", "s")(300, {"label": "a # b % d"})
    for _ in range(2):  # a scrape takes nothing from the next
        assert exemplar_of(exposition, "duration_seconds_bucket", "10.0") == newest
        assert exemplar_of(exposition, "duration_seconds_bucket", "500.0") == other
        assert exemplar_of(exposition, "duration_seconds_bucket", "5.0") == {}
        assert exemplar_of(exposition, "jobs_total") == newest
    newest = in_span(workers[1], 4)
    workers[1].histogram("duration", "s")(8, {"label": "a # b % d"})
    assert exemplar_of(exposition, "duration_seconds_bucket", "10.0") == newest
    assert "trace_id" not in text(exposition)


def test_exemplars_of_merged_histograms_are_in_their_buckets(workers: list[Worker], exposition: Exposition) -> None:
    for number, (worker, bounds) in enumerate(zip(workers, ((1, 2), (2, 4)), strict=True), 1):
        in_span(worker, number)
        record = worker.histogram("duration", bounds=bounds)
        for measured in (0.5, 3):
            record(measured)
    shown = [s for s in samples(exposition, OPENMETRICS) if s.name == "duration_bucket"]
    lower = 0.0
    for sample in shown:
        upper = float(sample.labels["le"])
        assert sample.exemplar is None or lower < sample.exemplar.value <= upper
        lower = upper
    assert [sample.exemplar and sample.exemplar.value for sample in shown] == [0.5, None, 3]
    assert exemplar_of(exposition, "duration_bucket", "1.0")["span_id"] == (2).to_bytes(8).hex()


def test_exemplars_are_sampled_spans_only(workers: list[Worker], exposition: Exposition) -> None:
    workers[0].histogram("duration", "s")(7)
    in_span(workers[0], 1, sampled=False)
    workers[0].histogram("duration", "s")(7)
    assert "trace_id" not in text(exposition, OPENMETRICS)


def test_exemplars_are_not_shown_where_the_format_allows_none(workers: list[Worker], exposition: Exposition) -> None:
    """They would cost Prometheus the whole scrape; a push has them."""
    in_span(workers[0], 1)
    workers[0].gauge("load")(1)
    workers[0].updowncounter("active")(1)
    assert [value(exposition, name, accept=OPENMETRICS) for name in ("load", "active")] == [1, 1]
    assert "trace_id" not in text(exposition, OPENMETRICS)


def test_exemplar_without_a_trace_has_no_ids(exposition: Exposition, aggregation: Aggregation) -> None:
    counter = ("counter", "jobs", "", "", "", "", "", None)
    series = aggregation.series(counter, {})
    series.offers = True
    series.record(2, 1_700_000_000_123_000_000, None, None, False)
    assert " 2.0 # {} 2.0 1700000000.123\n" in text(exposition, OPENMETRICS)
    [sample] = [sample for sample in samples(exposition, OPENMETRICS) if sample.name == "jobs_total"]
    assert (sample.exemplar.value, sample.exemplar.labels) == (2, {})


def test_created_is_the_start_of_the_first_series(
    workers: list[Worker], exposition: Exposition, aggregation: Aggregation
) -> None:
    for worker, start in zip(workers, (1_700_000_009, 1_700_000_001), strict=True):
        worker.counter("jobs")(1)
        worker.histogram("duration")(1)
        worker.gauge("load")(1)
        for _, [series] in list(aggregation.metrics())[-3:]:
            series.start = start * 1_000_000_000
    for name in ("jobs_created", "duration_created"):
        assert value(exposition, name, accept=OPENMETRICS) == 1_700_000_001
        assert value(exposition, name) is None
    assert "load_created" not in text(exposition, OPENMETRICS)
    assert "_created" not in Exposition(aggregation, RESOURCE, created=False).render(OPENMETRICS)[0].decode()


def test_levels_of_two_scopes_are_added_and_gauges_are_not(workers: list[Worker], exposition: Exposition) -> None:
    for worker, present in zip(workers, (2, 5), strict=True):
        worker.updowncounter("active")(present)
        worker.gauge("load")(present)
    assert value(exposition, "active") == 7
    assert value(exposition, "load") == 5
    workers[0].gauge("load")(3)
    assert value(exposition, "load") == 3


def test_values_of_processes_that_have_ended_are_not_shown(
    workers: list[Worker], exposition: Exposition, aggregation: Aggregation
) -> None:
    for worker in workers:
        worker.updowncounter("active")(1)
        worker.counter("jobs")(1)
    aggregation.keep([1])
    assert value(exposition, "active") == 1
    aggregation.keep([])
    assert value(exposition, "active") is None
    assert "active" not in text(exposition)
    assert value(exposition, "jobs_total") == 2


def test_content_types_are_those_of_the_formats(exposition: Exposition) -> None:
    assert exposition.render("")[1] == "text/plain; version=0.0.4; charset=utf-8"
    assert exposition.render(OPENMETRICS)[1] == "application/openmetrics-text; version=1.0.0; charset=utf-8"


def test_promtool_finds_nothing_wrong(workers: list[Worker], exposition: Exposition) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool (Debian: prometheus) is not on this machine")
    for worker in workers:
        worker.counter("user.created", "{user}", "Users created")(1, {"kind": json.dumps("a\\b")})
        worker.histogram("http.server.request.duration", "s", "Time")(1, {"http.route": "/users"})
        worker.updowncounter("http.server.active_requests", "{request}", "Requests in work")(1)
        worker.gauge("load", "1", 'Load "now"\\')(1)
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=exposition.render("")[0], capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
