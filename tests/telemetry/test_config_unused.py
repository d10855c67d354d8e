"""What is set without an effect is named, and what looks mistyped with what it resembles."""

import os
import re
import subprocess
import sys

import pytest

from telemetry.config.unused import OF_TOOLS
from telemetry.config.values import SIGNALS
from telemetry.config.variables import VARIABLES
from tests.support.service import ROOT
from tests.telemetry.environments import config


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("TELEMETRY_MOD", "TELEMETRY_MODE"),
        ("TELEMETRY_MODES", "TELEMETRY_MODE"),
        ("OTEL_BSP_MAX_QUEUE_SIZ", "OTEL_BSP_MAX_QUEUE_SIZE"),
        ("OTEL_SERVICENAME", "OTEL_SERVICE_NAME"),
        ("OTEL_EXPORTER_OTLP_LOG_ENDPOINT", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"),
        ("OTEL_PYTHON_DJANGO_EXCLUDED_URL", "OTEL_PYTHON_DJANGO_EXCLUDED_URLS"),
        ("OTLE_SERVICE_NAME", "OTEL_SERVICE_NAME"),
        ("TELEMTRY_MODE", "TELEMETRY_MODE"),
        ("otel_service_name", "OTEL_SERVICE_NAME"),
        ("Telemetry_Mode", "TELEMETRY_MODE"),
    ],
)
def test_mistyped(variable: str, meant: str) -> None:
    assert config({variable: "a secret?"}).warnings == (f"{variable} has no effect; did you mean {meant}?",)


@pytest.mark.parametrize(
    ("variable", "reason"),
    [
        ("OTEL_EXPORTER_PROMETHEUS_PORT", ": /metrics is served at the service's own address"),
        ("OTEL_EXPORTER_ZIPKIN_ENDPOINT", ": only OTLP is supported"),
        ("OTEL_PYTHON_LOG_CORRELATION", ": log records carry their trace id anyway"),
        ("OTEL_SEMCONV_STABILITY_OPT_IN", ": the stable conventions are always in use"),
        ("OTEL_PYTHON_REQUESTS_EXCLUDED_URLS", ": no instrumentation named requests runs (TELEMETRY_INSTRUMENT)"),
        ("TELEMETRY_OF_SOMEBODY_ELSE", ""),
    ],
)
def test_known_elsewhere(variable: str, reason: str) -> None:
    assert config({variable: "1"}).warnings == (f"{variable} has no effect{reason}",)


@pytest.mark.parametrize(
    "variable", ["HOTEL_SERVICE", "OTELLO", "SERVICE_NAME", "MODE", "PATH", "TERM", "METRICS_TOKENS", "TELEMETRYX"]
)
def test_other_programs_variables(variable: str) -> None:
    assert config({variable: "1"}).warnings == ()


def test_every_variable_is_known() -> None:
    for variable in VARIABLES:
        forms = [variable.for_signal(each).name for each in SIGNALS] if variable.per_signal else []
        for name in (variable.name, *forms):
            read = config({name: variable.default or "", "TELEMETRY_MODE": "off"})
            assert not [line for line in read.warnings if "has no effect" in line], name


def test_what_the_start_itself_sets() -> None:
    """A process that another one starts, a reload among them, finds it in its environment."""
    assert config({"OTEL_SEMCONV_STABILITY_OPT_IN": "http,database"}).warnings == ()


def test_variables_of_kubernetes_services() -> None:
    """Each container gets them for the Services of its namespace."""
    found = {
        "OTEL_COLLECTOR_SERVICE_HOST": "10.0.0.1",
        "OTEL_COLLECTOR_SERVICE_PORT": "4317",
        "OTEL_COLLECTOR_SERVICE_PORT_OTLP_GRPC": "4317",
        "OTEL_COLLECTOR_PORT": "tcp://10.0.0.1:4317",
        "OTEL_COLLECTOR_PORT_4317_TCP_ADDR": "10.0.0.1",
    }
    assert config(found).warnings == ()
    assert len(config({"OTEL_COLLECTOR_PORT": "4317"}).warnings) == 1


def test_variables_of_the_tools() -> None:
    """They are those that the tools read."""
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "telemetry" / "tools").rglob("*.py")]
    read = {name for source in sources for name in re.findall(r"\"(TELEMETRY_\w+)\"", source)}
    assert read - {variable.name for variable in VARIABLES} == OF_TOOLS
    assert config(dict.fromkeys(OF_TOOLS, "http://localhost")).warnings == ()


@pytest.mark.parametrize(
    ("environ", "warning"),
    [
        (
            {"OTEL_TRACES_EXPORTER": "console", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "500"},
            "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT has no effect: traces are not exported by OTLP",
        ),
        (
            {"TELEMETRY_MODE": "direct", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://mimir/v1/metrics"},
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT has no effect: metrics are not exported by OTLP",
        ),
        (
            {f"OTEL_{signal.upper()}_EXPORTER": "none" for signal in SIGNALS}
            | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://alloy:4317"},
            "OTEL_EXPORTER_OTLP_ENDPOINT has no effect: nothing is exported by OTLP",
        ),
        (
            {f"OTEL_EXPORTER_OTLP_{part}TIMEOUT": "1000" for part in ("", "TRACES_", "METRICS_", "LOGS_")},
            "OTEL_EXPORTER_OTLP_TIMEOUT has no effect: each signal has its own",
        ),
        (
            {"OTEL_LOGS_EXPORTER": "none", "OTEL_BLRP_MAX_QUEUE_SIZE": "600"},
            "OTEL_BLRP_MAX_QUEUE_SIZE has no effect: logs are not exported",
        ),
    ],
)
def test_known_but_idle(environ: dict[str, str], warning: str) -> None:
    assert config(environ).warnings == (warning,)


def test_mode_off_has_no_idle_variables() -> None:
    """It is a switch: what is set waits for the other modes."""
    assert config({"TELEMETRY_MODE": "off", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://alloy:4317"}).warnings == ()


def test_named_at_the_start_and_by_check() -> None:
    environ = {**os.environ, "TELEMETRY_MOD": "direct", "OTEL_BSP_MAX_QUEUE_SIZ": "1"}
    start = [sys.executable, "-c", "from telemetry.lifecycle import load_config; load_config()"]
    started = subprocess.run(start, cwd=ROOT, env=environ, capture_output=True, text=True, check=True)
    assert started.stderr.splitlines() == [
        "telemetry: OTEL_BSP_MAX_QUEUE_SIZ has no effect; did you mean OTEL_BSP_MAX_QUEUE_SIZE?",
        "telemetry: TELEMETRY_MOD has no effect; did you mean TELEMETRY_MODE?",
    ]
    checking = [sys.executable, "manage.py", "check"]
    checked = subprocess.run(checking, cwd=ROOT, env=environ, capture_output=True, text=True, check=True)
    assert "TELEMETRY_MOD has no effect; did you mean TELEMETRY_MODE?" in checked.stderr
