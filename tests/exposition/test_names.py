"""OpenTelemetry's names and units as Prometheus shows them."""

from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client.utils import floatToGoString

from telemetry.exposition.names import family_name, label_name, number

UNITS = [
    *("", "1", "{request}", "{log_record}", "By", "KiBy", "MiBy", "GiBy", "TiBy", "KBy", "MBy", "GBy", "TBy"),
    *("d", "h", "min", "s", "ms", "us", "ns", "m", "V", "A", "J", "W", "g", "Cel", "Hz", "%"),
    *("m/s", "By/s", "{request}/s", "1/s", "By/min", "s/{request}", "foo", "foo/bar", "foo/mo", "km/h", "By/y", "m/w"),
    *("{a}By", "By{a}", "a b", "a-b", "requests", "/", "s/"),
]


@pytest.mark.parametrize("unit", UNITS)
def test_units_are_those_of_the_prometheus_exporter(unit: str) -> None:
    exporter: Any = pytest.importorskip("opentelemetry.exporter.prometheus")
    prometheus_client: Any = pytest.importorskip("prometheus_client")
    registry = prometheus_client.CollectorRegistry()
    provider = MeterProvider([exporter.PrometheusMetricReader(registry=registry)], shutdown_on_exit=False)
    provider.get_meter("test").create_histogram("metric", unit).record(1)
    text = prometheus_client.generate_latest(registry).decode()
    provider.shutdown()
    [theirs] = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE metric")]
    assert family_name("metric", unit, "histogram")[0] == theirs


@pytest.mark.parametrize(
    ("name", "unit", "kind", "expected"),
    [
        ("process.cpu.time", "s", "observable_counter", "process_cpu_time_seconds"),
        ("process.memory.usage", "By", "observable_updowncounter", "process_memory_usage_bytes"),
        ("process.uptime", "s", "observable_gauge", "process_uptime_seconds"),
        ("load", "1", "observable_gauge", "load_ratio"),
        ("share", "1", "observable_updowncounter", "share"),
        ("hits_total", "1", "observable_counter", "hits"),
        ("hits_total", "1", "updowncounter", "hits_total"),
        ("duration.seconds", "s", "histogram", "duration_seconds"),
        ("4xx.answers", "", "counter", "_4xx_answers"),
        ("-odd  name-", "", "counter", "odd_name"),
        ("ns:metric", "", "counter", "ns:metric"),
        ("_total", "", "counter", "total"),
        ("温度", "Cel", "gauge", ""),
    ],
)
def test_names_of_families(name: str, unit: str, kind: str, expected: str) -> None:
    assert family_name(name, unit, kind)[0] == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("", "key_"),
        ("http.route", "http_route"),
        ("4xx", "key_4xx"),
        ("_private", "key_private"),
        ("a..b", "a_b"),
        ("ü", "key_"),
    ],
)
def test_names_of_labels(key: str, expected: str) -> None:
    assert label_name(key) == expected


@pytest.mark.parametrize(
    "value",
    [0, 1, 0.1, 0.005, 2.5e-07, 10, 123456, 999999.5, 1e6, 1234567, 7500000.5, 1e9, -1e9, 123456789.25, 1e15, 1.5e10,
     1e16, 1e22, 1.7e308, float("inf"), float("-inf"), float("nan")],
)  # fmt: skip
def test_numbers_are_written_as_go_writes_them(value: float) -> None:
    assert number(value) == floatToGoString(value)  # type: ignore[no-untyped-call]
