"""The environment becomes one frozen configuration; what is wrong with it is reported in one line."""

import pickle
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from telemetry.config import ConfigError, TelemetryConfig
from telemetry.config.reader import Variable
from telemetry.config.report import rows
from telemetry.config.values import SIGNALS
from telemetry.config.variables import VARIABLES


def config(**environ: str) -> TelemetryConfig:
    return TelemetryConfig.from_env(environ)


def error(**environ: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        TelemetryConfig.from_env(environ)
    return caught.value


def exporters(configuration: TelemetryConfig) -> tuple[str, str, str]:
    return configuration.traces.exporter, configuration.metrics.exporter, configuration.logs.exporter


# --- As a whole -----------------------------------------------------------------------------------------------------


def test_config_empty_environment() -> None:
    """Nothing needs to be set, and nothing is doubtful then."""
    assert config().warnings == ()


def test_config_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        config().mode = "off"  # type: ignore[misc]


def test_config_hashable() -> None:
    assert hash(config()) == hash(config())


def test_config_environ_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "from-the-process")
    assert TelemetryConfig.from_env().service_name == "from-the-process"


@pytest.mark.parametrize("variable", [variable.name for variable in VARIABLES])
def test_config_empty_variable(variable: str) -> None:
    """The specification: an empty variable is an unset one, its source included."""
    assert config(**{variable: ""}) == config()


@pytest.mark.parametrize("variable", [v.name for v in VARIABLES if v.trimmed])
def test_config_blank_variable(variable: str) -> None:
    assert config(**{variable: " \t"}) == config()


def test_config_every_value_has_a_source() -> None:
    assert {row.field for row in rows(config())} == set(config().sources)


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_config_default_written_out(variable: Variable[Any]) -> None:
    """It changes no value."""
    written = rows(config(**{variable.name: variable.default or ""}))
    assert {row.field: row.value for row in written} == {row.field: row.value for row in rows(config())}


BAD = {
    "OTEL_CONFIG_FILE": "/does/not/exist",
    "TELEMETRY_MODE": "colector",
    "OTEL_TRACES_EXPORTER": "jaeger",
    "OTEL_METRICS_EXPORTER": "statsd",
    "OTEL_LOGS_EXPORTER": "otlp,console",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "ftp://alloy",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
    "OTEL_EXPORTER_OTLP_HEADERS": "no-equals-sign",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "10s",
    "OTEL_EXPORTER_OTLP_COMPRESSION": "deflate",
    "OTEL_EXPORTER_OTLP_INSECURE": "yes",
    "OTEL_EXPORTER_OTLP_CERTIFICATE": "/does/not/exist",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/does/not/exist",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "/does/not/exist",
    "OTEL_SERVICE_NAME": "two\nlines",
    "OTEL_RESOURCE_ATTRIBUTES": "=value",
    "OTEL_TRACES_SAMPLER": "jaeger_remote",
    "OTEL_TRACES_SAMPLER_ARG": "1.5",
    "OTEL_PROPAGATORS": "tracecontext,b3",
    "TELEMETRY_INCOMING_CONTEXT": "distrust",
    "OTEL_BSP_SCHEDULE_DELAY": "0",
    "OTEL_BSP_EXPORT_TIMEOUT": "-1",
    "OTEL_BSP_MAX_QUEUE_SIZE": "2_048",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "1e3",
    "OTEL_BLRP_SCHEDULE_DELAY": "1.5",
    "OTEL_BLRP_EXPORT_TIMEOUT": "infinity",
    "OTEL_BLRP_MAX_QUEUE_SIZE": "99999999999999999999999",
    "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "\N{ARABIC-INDIC DIGIT FIVE}",
    "OTEL_METRIC_EXPORT_INTERVAL": "15 s",
    "OTEL_METRIC_EXPORT_TIMEOUT": "none",
    "OTEL_METRICS_EXEMPLAR_FILTER": "always",
    "OTEL_LOG_LEVEL": "verbose",
    "TELEMETRY_FLUSH_TIMEOUT": "0",
    "TELEMETRY_EXPORTER": "worker",
    "TELEMETRY_JOURNAL_BYTES": "4 MB",
    "TELEMETRY_SPOOL_DIR": "spool",
    "TELEMETRY_SPOOL_BYTES": "1",
    "METRICS_TOKEN": "two words",
    "TELEMETRY_PRIVACY": "maximum",
    "TELEMETRY_REDACT": "(unclosed",
    "OTEL_PYTHON_DJANGO_EXCLUDED_URLS": "livez,(a+)+",
    "OTEL_PYTHON_EXCLUDED_URLS": "livez,[",
    "TELEMETRY_RESPONSE_HEADERS": "traceresponse,server",
    "TELEMETRY_VIEW_NAMES": "1",
    "TELEMETRY_INSTRUMENT": "nothing",
    "TELEMETRY_INSTRUMENTATION": "both",
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "base2_exponential_bucket_histogram",
    "OTEL_ATTRIBUTE_COUNT_LIMIT": "-1",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "unlimited",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "1.5",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "4k",
    "OTEL_SPAN_EVENT_COUNT_LIMIT": "many",
    "OTEL_SPAN_LINK_COUNT_LIMIT": "2147483648",
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT": "-1",
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT": "none",
    "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT": "0x10",
    "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT": "-5",
}


@pytest.mark.parametrize(("variable", "value"), BAD.items(), ids=BAD)
def test_error_bad_value(variable: str, value: str) -> None:
    assert error(**{variable: value}).variable == variable


@pytest.mark.parametrize(("variable", "value"), BAD.items(), ids=BAD)
def test_error_one_line(variable: str, value: str) -> None:
    assert len(str(error(**{variable: value})).splitlines()) == 1


@pytest.mark.parametrize("mode", ["collector", "direct", "off"])
@pytest.mark.parametrize("variable", [name for name in BAD if name != "TELEMETRY_MODE"])
def test_error_bad_value_in_every_mode(variable: str, mode: str) -> None:
    """What is wrong is reported today, and not on the day when the mode changes."""
    assert error(**{variable: BAD[variable], "TELEMETRY_MODE": mode}).variable == variable


def test_error_bad_value_of_every_variable() -> None:
    assert BAD.keys() == {variable.name for variable in VARIABLES} - {"OTEL_SDK_DISABLED"}


def test_error_text() -> None:
    assert str(error(TELEMETRY_MODE="colector")) == (
        "TELEMETRY_MODE: invalid value 'colector'; expected collector, direct, off"
    )


def test_error_long_value() -> None:
    assert len(str(error(TELEMETRY_MODE="x" * 10_000))) < 200


@pytest.mark.parametrize("separator", ["\n", "\r", "\x1b[2J", "\x85", "\N{LINE SEPARATOR}"])
def test_error_control_characters(separator: str) -> None:
    assert separator not in str(error(TELEMETRY_MODE=f"a{separator}b"))


def test_error_pickled() -> None:
    assert str(pickle.loads(pickle.dumps(error(TELEMETRY_MODE="x")))) == str(error(TELEMETRY_MODE="x"))  # noqa: S301


def test_errors_all_at_once() -> None:
    """A file that cannot be read leaves nothing else to be said."""
    bad = {name: value for name, value in BAD.items() if name != "OTEL_CONFIG_FILE"}
    found = {each.variable for each in TelemetryConfig.errors(bad)}
    assert found == bad.keys()


def test_errors_none() -> None:
    assert TelemetryConfig.errors({}) == []


def test_errors_base_value_read_for_three_signals_once() -> None:
    assert len(TelemetryConfig.errors({"OTEL_EXPORTER_OTLP_TIMEOUT": "x"})) == 1


def test_config_fields_have_variables() -> None:
    """Every value comes from a variable that the table knows, and every variable has a value."""
    known = {variable.field.format(signal=signal) for variable in VARIABLES for signal in SIGNALS}
    assert known == {row.field for row in rows(config())}


# --- Modes and exporters --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["direct", "DIRECT", " Direct "])
def test_mode_spelling(text: str) -> None:
    assert config(TELEMETRY_MODE=text).mode == "direct"


def test_mode_default() -> None:
    assert config().mode == "collector"


@pytest.mark.parametrize("text", ["true", "TRUE", " True "])
def test_mode_sdk_disabled(text: str) -> None:
    disabled = config(TELEMETRY_MODE="direct", OTEL_SDK_DISABLED=text)
    assert (disabled.mode, disabled.sources["mode"]) == ("off", "OTEL_SDK_DISABLED")


@pytest.mark.parametrize("text", ["1", "yes", "false"])
def test_mode_sdk_not_disabled(text: str) -> None:
    """The specification: nothing but `true` is true."""
    assert config(OTEL_SDK_DISABLED=text).mode == "collector"


def test_mode_sdk_disabled_unknown_word() -> None:
    assert config(OTEL_SDK_DISABLED="1").warnings == (
        "OTEL_SDK_DISABLED: '1' is neither true nor false and counts as false",
    )


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("collector", ("otlp", "otlp", "otlp")),
        ("direct", ("otlp", "prometheus", "console")),
        ("off", ("none", "none", "none")),
    ],
)
def test_exporters_of_mode(mode: str, expected: tuple[str, str, str]) -> None:
    assert exporters(config(TELEMETRY_MODE=mode)) == expected


def test_exporters_direct_logs_with_own_endpoint() -> None:
    logs = "http://loki:3100/otlp/v1/logs"
    direct = config(TELEMETRY_MODE="direct", OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=logs)
    assert (direct.logs.exporter, direct.sources["logs.exporter"]) == (
        "otlp",
        "derived from OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
    )


def test_exporters_direct_logs_with_common_endpoint() -> None:
    """The common endpoint is the traces' backend, which takes no logs."""
    assert config(TELEMETRY_MODE="direct", OTEL_EXPORTER_OTLP_ENDPOINT="http://tempo:4317").logs.exporter == "console"


@pytest.mark.parametrize("mode", ["collector", "direct"])
@pytest.mark.parametrize("exporter", ["otlp", "console", "none"])
@pytest.mark.parametrize("signal", SIGNALS)
def test_exporters_asked_for(mode: str, exporter: str, signal: str) -> None:
    variable = f"OTEL_{signal.upper()}_EXPORTER"
    asked = config(TELEMETRY_MODE=mode, **{variable: exporter})
    assert (getattr(asked, signal).exporter, asked.sources[f"{signal}.exporter"]) == (exporter, variable)


@pytest.mark.parametrize("exporter", ["otlp", "console", "prometheus"])
def test_exporters_off_whatever_is_asked_for(exporter: str) -> None:
    off = config(TELEMETRY_MODE="off", OTEL_METRICS_EXPORTER=exporter)
    assert (off.metrics.exporter, off.sources["metrics.exporter"]) == ("none", "derived from TELEMETRY_MODE")


def test_exporters_off_by_sdk_disabled() -> None:
    assert config(OTEL_SDK_DISABLED="true").sources["logs.exporter"] == "derived from OTEL_SDK_DISABLED"


def test_exporters_prometheus_in_collector_mode() -> None:
    assert "TELEMETRY_MODE=direct" in str(error(OTEL_METRICS_EXPORTER="prometheus"))
