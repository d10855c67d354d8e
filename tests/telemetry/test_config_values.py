"""The values that are not about OTLP: resource, sampling, batches, times, levels and tokens."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from telemetry.config import BatchConfig, ConfigError, Signal, TelemetryConfig


def config(**environ: str) -> TelemetryConfig:
    return TelemetryConfig.from_env(environ)


def error(**environ: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        TelemetryConfig.from_env(environ)
    return caught.value


# --- Resource -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "name", "source"),
    [
        ({}, "unknown_service", "default"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=a"}, "a", "OTEL_RESOURCE_ATTRIBUTES"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=a", "OTEL_SERVICE_NAME": "b"}, "b", "OTEL_SERVICE_NAME"),
    ],
)
def test_service_name(environ: Mapping[str, str], name: str, source: str) -> None:
    named = TelemetryConfig.from_env(environ)
    assert (named.service_name, named.sources["service_name"]) == (name, source)


def test_resource_attributes_without_service_name() -> None:
    assert config(OTEL_RESOURCE_ATTRIBUTES="service.name=a,b=c").resource_attributes == (("b", "c"),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=b", (("a", "b"),)),
        (" a = b , c=d,", (("a", "b"), ("c", "d"))),
        ("a=b%2Cc%20d", (("a", "b,c d"),)),
        ("a%20b=c", (("a b", "c"),)),
        ("a=b=c", (("a", "b=c"),)),
        ("a=", (("a", ""),)),
        ("a=1,a=2", (("a", "2"),)),
        ("a=%C3%A9", (("a", "é"),)),
    ],
)
def test_resource_attributes(text: str, expected: tuple[tuple[str, str], ...]) -> None:
    assert config(OTEL_RESOURCE_ATTRIBUTES=text).resource_attributes == expected


@pytest.mark.parametrize("text", ["a", "=b", "a=b,c", "a=%0A", "a=%FF"])
def test_resource_attributes_malformed(text: str) -> None:
    assert error(OTEL_RESOURCE_ATTRIBUTES=text).variable == "OTEL_RESOURCE_ATTRIBUTES"


# --- Traces ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sampler", "arg", "expected"),
    [
        ("traceidratio", "0.25", 0.25),
        ("parentbased_traceidratio", "", 1.0),
        ("parentbased_traceidratio", "0", 0.0),
        ("parentbased_traceidratio", ".5", 0.5),
        ("TraceIdRatio", "1e-3", 0.001),
        ("always_on", "", None),
        ("parentbased_always_off", "0.5", None),
    ],
)
def test_sampler_arg(sampler: str, arg: str, expected: float | None) -> None:
    assert config(OTEL_TRACES_SAMPLER=sampler, OTEL_TRACES_SAMPLER_ARG=arg).sampler_arg == expected


@pytest.mark.parametrize("arg", ["-0.1", "1.01", "nan", "inf", "1_0", "half", "1e400"])
def test_sampler_arg_refused(arg: str) -> None:
    text = str(error(OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG=arg))
    assert text.endswith("expected a number from 0 to 1")


def test_sampler_arg_unused() -> None:
    assert "parentbased_always_on" in config(OTEL_TRACES_SAMPLER_ARG="0.1").warnings[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("tracecontext",)),
        ("tracecontext,baggage", ("tracecontext", "baggage")),
        (" Baggage , baggage ", ("baggage",)),
        ("none", ()),
    ],
)
def test_propagators(text: str, expected: tuple[str, ...]) -> None:
    assert config(OTEL_PROPAGATORS=text).propagators == expected


@pytest.mark.parametrize("text", ["b3", "none,baggage", "tracecontext,", "xray"])
def test_propagators_refused(text: str) -> None:
    assert error(OTEL_PROPAGATORS=text).variable == "OTEL_PROPAGATORS"


@pytest.mark.parametrize(
    ("text", "expected"), [("", "trust"), ("trust", "trust"), ("LINK", "link"), (" ignore ", "ignore")]
)
def test_incoming_context(text: str, expected: str) -> None:
    assert config(TELEMETRY_INCOMING_CONTEXT=text).incoming_context == expected


def test_incoming_context_refused() -> None:
    assert error(TELEMETRY_INCOMING_CONTEXT="links").accepted == "trust, link, ignore"


# --- Batches and times ----------------------------------------------------------------------------------------------


def test_batch_defaults() -> None:
    """The specification's, except for the delay of spans, the queues and the timeout, which are limited elsewhere."""
    default = BatchConfig(schedule_delay=1.0, max_queue_size=None, max_export_batch_size=512, export_timeout=None)
    assert (config().span_batch, config().log_batch) == (default, default)


def test_most_waiting_where_it_is_set() -> None:
    read = config(OTEL_BSP_MAX_QUEUE_SIZE="2048", OTEL_BLRP_MAX_QUEUE_SIZE="600")
    assert (read.most_waiting("traces"), read.most_waiting("logs")) == (2048, 600)


def test_most_waiting_without_a_bound() -> None:
    """Nothing is dropped for a number that is not set while the spool has room."""
    signals: tuple[Signal, ...] = ("traces", "logs", "metrics")
    assert [config().most_waiting(signal) for signal in signals] == [None, None, None]


@pytest.mark.parametrize(("prefix", "field"), [("OTEL_BSP", "span_batch"), ("OTEL_BLRP", "log_batch")])
def test_batch_values(prefix: str, field: str) -> None:
    environ = {"SCHEDULE_DELAY": "250", "MAX_QUEUE_SIZE": "10", "MAX_EXPORT_BATCH_SIZE": "5", "EXPORT_TIMEOUT": "2000"}
    read = config(**{f"{prefix}_{name}": value for name, value in environ.items()})
    assert getattr(read, field) == BatchConfig(0.25, 10, 5, 2.0)


def test_batch_size_follows_small_queue() -> None:
    small = config(OTEL_BSP_MAX_QUEUE_SIZE="100")
    assert (small.span_batch.max_export_batch_size, small.sources["span_batch.max_export_batch_size"]) == (
        100,
        "derived from OTEL_BSP_MAX_QUEUE_SIZE",
    )


def test_batch_size_above_queue() -> None:
    found = error(OTEL_BLRP_MAX_QUEUE_SIZE="5", OTEL_BLRP_MAX_EXPORT_BATCH_SIZE="6")
    assert found.variable == "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"


def test_batch_size_without_a_queue() -> None:
    read = config(OTEL_BLRP_MAX_EXPORT_BATCH_SIZE="4096")
    assert (read.log_batch.max_export_batch_size, read.most_waiting("logs")) == (4096, None)


@pytest.mark.parametrize(
    ("interval", "timeout", "expected"),
    [
        ("", "", (15.0, None)),
        ("60000", "", (60.0, None)),
        ("60000", "5000", (60.0, 5.0)),
        ("", "30000", (15.0, 15.0)),
        ("1000", "2000", (1.0, 1.0)),
    ],
)
def test_metric_times(interval: str, timeout: str, expected: tuple[float, float | None]) -> None:
    """The time-out is never above the interval; the specification's default, written out, is no error."""
    read = config(OTEL_METRIC_EXPORT_INTERVAL=interval, OTEL_METRIC_EXPORT_TIMEOUT=timeout)
    assert (read.metric_export_interval, read.metric_export_timeout) == expected


def test_metric_timeout_above_interval() -> None:
    assert "OTEL_METRIC_EXPORT_TIMEOUT" in config(OTEL_METRIC_EXPORT_TIMEOUT="20000").warnings[0]


@pytest.mark.parametrize(
    "variable", ["OTEL_METRIC_EXPORT_INTERVAL", "OTEL_BSP_EXPORT_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"]
)
def test_times_in_seconds_by_mistake(variable: str) -> None:
    assert any(variable in warning and "milliseconds" in warning for warning in config(**{variable: "30"}).warnings)


@pytest.mark.parametrize(("text", "expected"), [("", 5.0), ("0.5", 0.5), ("60", 60.0), ("3.", 3.0)])
def test_flush_timeout(text: str, expected: float) -> None:
    assert config(TELEMETRY_FLUSH_TIMEOUT=text).flush_timeout == expected


@pytest.mark.parametrize("text", ["0", "0.0", "60.1", "-1", "5s", "nan"])
def test_flush_timeout_refused(text: str) -> None:
    assert "seconds" in error(TELEMETRY_FLUSH_TIMEOUT=text).accepted


# --- Journal and spool ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", 4 << 20), ("65536", 65536), ("64KiB", 65536), ("8 mib", 8 << 20), ("1GiB", 1 << 30)],
)
def test_journal_bytes(text: str, expected: int) -> None:
    assert config(TELEMETRY_JOURNAL_BYTES=text).journal_bytes == expected


@pytest.mark.parametrize("text", ["0", "65535", "2GiB", "4MB", "4M", "-1", "1e9", "4.5MiB", "MiB", "4  MiB"])
def test_journal_bytes_refused(text: str) -> None:
    found = error(TELEMETRY_JOURNAL_BYTES=text)
    assert found.accepted == "a whole number of bytes, KiB, MiB or GiB, from 64KiB to 1GiB"


@pytest.mark.parametrize(
    ("environ", "size", "source"),
    [
        ({}, 16 << 20, "default"),
        ({"TELEMETRY_SPOOL_DIR": "/var/spool/user-api"}, 512 << 20, "derived from TELEMETRY_SPOOL_DIR"),
        ({"TELEMETRY_SPOOL_BYTES": "1GiB"}, 1 << 30, "TELEMETRY_SPOOL_BYTES"),
        ({"TELEMETRY_SPOOL_DIR": "/spool", "TELEMETRY_SPOOL_BYTES": "2MiB"}, 2 << 20, "TELEMETRY_SPOOL_BYTES"),
    ],
)
def test_spool_bytes(environ: Mapping[str, str], size: int, source: str) -> None:
    """Memory is scarcer than disks are."""
    read = TelemetryConfig.from_env(environ)
    assert (read.spool_bytes, read.sources["spool_bytes"]) == (size, source)
    assert read.spool_dir == environ.get("TELEMETRY_SPOOL_DIR")


@pytest.mark.parametrize(("text", "reason"), [("./spool", "is not absolute"), (__file__, "is not a folder")])
def test_spool_dir_refused(text: str, reason: str) -> None:
    assert reason in str(error(TELEMETRY_SPOOL_DIR=text))


def test_what_a_variable_names_may_be_missing_later(tmp_path: Path) -> None:
    """The exporter of a service that has started starts, too; a text that is wrong in itself is refused as before."""
    file = tmp_path / "file"
    environ = {"TELEMETRY_SPOOL_DIR": str(file / "spool"), "OTEL_EXPORTER_OTLP_CERTIFICATE": str(tmp_path / "ca.pem")}
    file.write_text("")
    for name, value in environ.items():
        assert TelemetryConfig.errors({name: value})
    later = TelemetryConfig.from_env(environ, outside=False)
    assert (later.spool_dir, later.traces.certificate) == tuple(environ.values())
    with pytest.raises(ConfigError):
        TelemetryConfig.from_env({"TELEMETRY_SPOOL_DIR": "spool"}, outside=False)


@pytest.mark.parametrize(("text", "expected"), [("", "process"), ("process", "process"), (" Thread ", "thread")])
def test_exporter(text: str, expected: str) -> None:
    assert config(TELEMETRY_EXPORTER=text).exporter == expected


# --- The rest -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "level"), [("", "info"), ("warn", "warning"), ("WARNING", "warning"), ("Debug", "debug")]
)
def test_log_level(text: str, level: str) -> None:
    assert config(OTEL_LOG_LEVEL=text).log_level == level


@pytest.mark.parametrize("choice", ["always_on", "always_off", "trace_based"])
def test_exemplar_filter(choice: str) -> None:
    assert config(OTEL_METRICS_EXEMPLAR_FILTER=choice).exemplar_filter == choice


def test_metrics_token() -> None:
    assert config(METRICS_TOKEN="0123456789abcdef").metrics_token == "0123456789abcdef"


@pytest.mark.parametrize(
    "text", [" ", "abcdefghijklmnopqrst\n", " abcdefghijklmnopqrst", "pässwörter-und-mehr", "a\x7f"]
)
def test_metrics_token_refused(text: str) -> None:
    """A blank token is a mistake; if it counted as none, `/metrics` would be open to all."""
    assert error(METRICS_TOKEN=text).variable == "METRICS_TOKEN"


def test_metrics_token_short() -> None:
    assert "16 characters" in config(METRICS_TOKEN="abc").warnings[0]
