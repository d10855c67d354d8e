"""OpenTelemetry's names and units as Prometheus shows them."""

import pytest
from prometheus_client.utils import floatToGoString

from telemetry.exposition.names import family_name, label_name, number

# What otlptranslator 1.0.0, the library of Prometheus's OTLP receiver, makes of them (UnderscoreEscapingWithSuffixes).
UNITS = [
    ("", ""), ("1", ""), ("{request}", ""), ("By", "_bytes"), ("KiBy", "_kibibytes"), ("MiBy", "_mebibytes"),
    ("GiBy", "_gibibytes"), ("TiBy", "_tibibytes"), ("KBy", "_kilobytes"), ("MBy", "_megabytes"),
    ("GBy", "_gigabytes"), ("TBy", "_terabytes"), ("d", "_days"), ("h", "_hours"), ("min", "_minutes"),
    ("s", "_seconds"), ("ms", "_milliseconds"), ("us", "_microseconds"), ("ns", "_nanoseconds"), ("m", "_meters"),
    ("V", "_volts"), ("A", "_amperes"), ("J", "_joules"), ("W", "_watts"), ("g", "_grams"), ("Cel", "_celsius"),
    ("Hz", "_hertz"), ("%", "_percent"), ("m/s", "_meters_per_second"), ("By/s", "_bytes_per_second"),
    ("{request}/s", "_per_second"), ("1/s", "_per_second"), ("By/min", "_bytes_per_min"),
    ("s/{request}", "_seconds"), ("foo", "_foo"), ("foo/bar", "_foo_per_bar"), ("foo/mo", "_foo_per_month"),
    ("km/h", "_km_per_hour"), ("By/y", "_bytes_per_year"), ("m/w", "_meters_per_week"), ("{a}By", ""),
    ("By{a}", ""), ("a b", "_a_b"), ("a-b", "_a_b"), ("requests", "_requests"), ("/", ""), ("s/", "_seconds"),
    ("/s", "_per_second"), (" s / s ", "_seconds_per_second"), ("°C", "_C"), ("a°", "_a_"),
    ("a°/s", "_a_per_second"), ("s/°", "_seconds"), ("foo/bar/baz", "_foo_per_bar_baz"), ("s}", ""),
]  # fmt: skip
NAMES = [
    ("bytes.received", "By", "counter", "bytes_received_total"),
    ("total.orders", "{order}", "counter", "orders_total"),
    ("orders.total.eur", "", "counter", "orders_eur_total"),
    ("orders_total", "1", "counter", "orders_total"),
    ("orders.total", "1", "updowncounter", "orders_total"),
    ("cache.hit.ratio.recent", "1", "gauge", "cache_hit_recent_ratio"),
    ("cache.hit.ratio", "1", "updowncounter", "cache_hit_ratio"),
    ("ratio", "1", "gauge", "ratio"),
    ("ratio", "1", "histogram", "ratio"),
    ("share", "1", "gauge", "share_ratio"),
    ("share", "1", "updowncounter", "share"),
    ("share", "1", "counter", "share_total"),
    ("seconds.since.last.run", "s", "gauge", "seconds_since_last_run"),
    ("cpu.percent.used", "%", "gauge", "cpu_percent_used"),
    ("io.bytes.per.s", "By/s", "gauge", "io_bytes_per_s_per_second"),
    ("meters.per.second", "m/s", "gauge", "meters_per_second_per_second"),
    ("duration.seconds", "s", "histogram", "duration_seconds"),
    ("temperature", "°C", "gauge", "temperature_C"),
    ("revenue", "EUR", "counter", "revenue_EUR_total"),
    ("total.4", "s", "counter", "_4_seconds_total"),
    ("4xx.answers", "", "counter", "_4xx_answers_total"),
    ("-odd  name-", "", "counter", "odd_name_total"),
    ("ns:metric", "", "counter", "ns:metric_total"),
    ("total", "s", "counter", "seconds_total"),
    ("ratio.total", "ratio", "gauge", "ratio_total"),
    ("Ünï.code", "s", "gauge", "n_code_seconds"),
    ("a__b", "1/s", "gauge", "a_b_per_second"),
]


@pytest.mark.parametrize(("unit", "suffix"), UNITS)
def test_units_are_those_of_a_pushed_metric(unit: str, suffix: str) -> None:
    assert family_name("metric", unit, "histogram")[0] == f"metric{suffix}"


@pytest.mark.parametrize(("name", "unit", "kind", "pushed"), NAMES)
def test_names_are_those_of_a_pushed_metric(name: str, unit: str, kind: str, pushed: str) -> None:
    assert family_name(name, unit, kind)[0] == (pushed.removesuffix("_total") if kind == "counter" else pushed)


@pytest.mark.parametrize(
    ("name", "unit", "kind", "expected"),
    [
        ("process.cpu.time", "s", "observable_counter", "process_cpu_time_seconds"),
        ("process.memory.usage", "By", "observable_updowncounter", "process_memory_usage_bytes"),
        ("process.uptime", "s", "observable_gauge", "process_uptime_seconds"),
        ("load", "1", "observable_gauge", "load_ratio"),
        ("share", "1", "observable_updowncounter", "share"),
        ("hits_total", "1", "observable_counter", "hits"),
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
