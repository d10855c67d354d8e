"""`manage.py telemetry` shows the effective configuration, and `manage.py check` what is wrong with it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from telemetry import lifecycle
from telemetry.checks import check_configuration
from telemetry.config import TelemetryConfig
from telemetry.config.report import rows
from telemetry.config.values import SIGNALS
from telemetry.config.variables import VARIABLES
from telemetry.project import Project
from telemetry.recording.announcement import announce
from telemetry.recording.process import Recording

NOTHING_SENT = [f"{signal:8} not sent" for signal in SIGNALS]
ROOT = Path(__file__).resolve().parents[2]
WRONG = {"TELEMETRY_MODE": "colector", "OTEL_PROPAGATORS": "b3", "OTEL_LOG_LEVEL": "loud"}


def run(*args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run manage.py as people do; the database is one that cannot be reached."""
    return subprocess.run(
        [sys.executable, "manage.py", *args],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": "postgres://nobody:x@127.0.0.1:1/none", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(autouse=True)
def _collector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEMETRY_MODE", "collector")


def output(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    call_command("telemetry", *args)
    return capsys.readouterr().out


def line(text: str, field: str) -> list[str]:
    return next(each.split() for each in text.splitlines() if each.startswith(f"{field} "))


def test_command_value_and_source(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "3000")
    text = output(capsys)
    assert line(text, "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")[1:] == ["3", "s", "set"]
    assert line(text, "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT")[1:] == ["10", "s", "default"]


def test_command_value_of_the_general_variable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3000")
    assert line(output(capsys), "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT")[1:] == ["3", "s", "OTEL_EXPORTER_OTLP_TIMEOUT"]


@pytest.mark.parametrize(
    ("environ", "summary"),
    [
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://alloy:4318"},
            [
                "mode     collector (TELEMETRY_MODE, set)",
                "traces   to http://alloy:4318/v1/traces (http/protobuf)",
                "metrics  to http://alloy:4318/v1/metrics (http/protobuf, every 15 s)",
                "logs     to http://alloy:4318/v1/logs (http/protobuf)",
            ],
        ),
        (
            {"TELEMETRY_MODE": "direct"},
            [
                "mode     direct (TELEMETRY_MODE, set)",
                "traces   to http://localhost:4317 (grpc)",
                "metrics  served at /metrics",
                "logs     to standard output",
            ],
        ),
        ({"OTEL_SDK_DISABLED": "true"}, ["mode     off (TELEMETRY_MODE, OTEL_SDK_DISABLED)", *NOTHING_SENT]),
        ({"TELEMETRY_MODE": "off"}, ["mode     off (TELEMETRY_MODE, set)", *NOTHING_SENT]),
    ],
)
def test_command_begins_with_a_summary(
    environ: dict[str, str], summary: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert output(capsys).splitlines()[: len(summary) + 1] == [*summary, ""]


def test_every_value_has_a_variable_of_the_configuration() -> None:
    names = {variable.name for variable in VARIABLES}
    names |= {variable.for_signal(signal).name for variable in VARIABLES if variable.per_signal for signal in SIGNALS}
    assert {row.variable for row in rows(TelemetryConfig.from_env({}))} <= names


def test_command_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert line(output(capsys), "OTEL_TRACES_SAMPLER") == ["OTEL_TRACES_SAMPLER", "parentbased_always_on", "default"]


def test_command_shows_no_bound_where_there_is_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BLRP_MAX_QUEUE_SIZE", "4096")
    text = output(capsys)
    assert line(text, "OTEL_BSP_MAX_QUEUE_SIZE") == ["OTEL_BSP_MAX_QUEUE_SIZE", "-", "default"]
    assert line(text, "OTEL_BLRP_MAX_QUEUE_SIZE") == ["OTEL_BLRP_MAX_QUEUE_SIZE", "4096", "set"]


def test_command_name_in_force(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings give it, unless a variable does; without either it is that of the settings' package."""
    assert line(output(capsys), "OTEL_SERVICE_NAME")[1:] == ["user-api", "TELEMETRY['SERVICE_NAME']"]
    name = json.loads(output(capsys, "--json"))["settings"]["service_name"]
    assert name == {"value": "user-api", "source": "TELEMETRY['SERVICE_NAME']"}
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=other")
    assert line(output(capsys), "OTEL_SERVICE_NAME")[1:] == ["other", "OTEL_RESOURCE_ATTRIBUTES"]
    monkeypatch.setenv("OTEL_SERVICE_NAME", "another")
    assert line(output(capsys), "OTEL_SERVICE_NAME")[1:] == ["another", "set"]
    monkeypatch.delenv("OTEL_RESOURCE_ATTRIBUTES")
    monkeypatch.delenv("OTEL_SERVICE_NAME")
    monkeypatch.setattr("telemetry.lifecycle._Process.project", Project("mysite"))
    assert line(output(capsys), "OTEL_SERVICE_NAME")[1:] == ["mysite", "the", "settings'", "package"]


def test_command_settings_of_the_project(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEMETRY_MODE", "direct")
    given = frozenset({"service_version", "metric_attributes", "metrics_path"})
    attributes = {"orders.placed": ("channel", "shop"), "orders.lost": ()}
    project = Project("shop", "1.2.0", attributes, metrics_path="/internal", given=given)
    monkeypatch.setattr("telemetry.lifecycle._Process.project", project)
    text = output(capsys)
    assert "\nmetrics  served at /internal\n" in text
    assert line(text, "TELEMETRY['SERVICE_VERSION']")[1:] == ["1.2.0", "set"]
    assert line(text, "TELEMETRY['METRIC_ATTRIBUTES']")[1:] == ["orders.placed=channel|shop,", "orders.lost", "set"]
    assert line(text, "TELEMETRY['UNTRACED_PATHS']")[1:] == ["/internal,", "/livez,", "/readyz", "default"]
    assert line(text, "TELEMETRY['ACCESS_LOGGER']")[1:] == ["telemetry.access", "default"]
    settings = json.loads(output(capsys, "--json"))["settings"]
    assert settings["metrics_path"] == {"value": "/internal", "source": "TELEMETRY['METRICS_PATH']"}
    assert settings["metric_attributes"]["value"] == {"orders.placed": ["channel", "shop"], "orders.lost": []}


def test_version_of_the_resource_wins(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.version=9")
    assert line(output(capsys), "TELEMETRY['SERVICE_VERSION']")[1:] == ["9", "OTEL_RESOURCE_ATTRIBUTES"]
    with caplog.at_level("INFO"):
        announce(TelemetryConfig.from_env(), Project("shop", "1.2.0"), 0)
    assert caplog.records[-1].__dict__["service.version"] == "9"
    assert Recording(TelemetryConfig.from_env(), Project("shop", "1.2.0")).describe()["version"] == "9"


def test_service_that_records_nothing_is_announced_by_its_name(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TELEMETRY_MODE", "off")
    monkeypatch.setattr("telemetry.lifecycle._Process.config", TelemetryConfig.from_env())
    monkeypatch.setattr("telemetry.lifecycle._Process.recording", None)
    with caplog.at_level("INFO"):
        lifecycle.start()
    assert caplog.records[-1].getMessage() == "Starting user-api server"


def test_command_header_masked(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret")
    assert line(output(capsys), "OTEL_EXPORTER_OTLP_LOGS_HEADERS")[1] == "authorization=***"


def test_command_idle_otlp_values_left_out(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEMETRY_MODE", "direct")
    text = output(capsys)
    assert "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" in text
    assert "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT" not in text


def test_command_warning(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "30")
    assert "\nwarning: OTEL_EXPORTER_OTLP_TIMEOUT: '30' is in milliseconds" in output(capsys)


def test_command_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_PROPAGATORS", "tracecontext,baggage")
    assert json.loads(output(capsys, "--json"))["settings"]["propagators"] == {
        "value": ["tracecontext", "baggage"],
        "source": "OTEL_PROPAGATORS",
    }


def test_command_broken_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEMETRY_MODE", "colector")
    with pytest.raises(CommandError, match=r"^TELEMETRY_MODE: invalid value 'colector'; expected "):
        call_command("telemetry")


def test_command_without_database() -> None:
    assert run("telemetry").returncode == 0


def test_command_broken_process() -> None:
    """A line for each variable on standard error, nothing on standard output, and 1."""
    ended = run("telemetry", **WRONG)
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (1, "", len(WRONG)), ended.stderr
    assert all(f"{variable}: invalid value '{value}'" in ended.stderr for variable, value in WRONG.items())


def test_check_process() -> None:
    ended = run("check", **WRONG)
    assert ended.returncode == 1
    for variable, value in WRONG.items():
        assert f"(telemetry.E001) {variable}: invalid value '{value}'" in ended.stderr, ended.stderr
    assert "Traceback" not in ended.stderr


def test_check_good() -> None:
    assert check_configuration(app_configs=None) == []


def test_check_every_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEMETRY_MODE", "colector")
    monkeypatch.setenv("OTEL_LOG_LEVEL", "loud")
    assert [message.id for message in check_configuration(app_configs=None)] == ["telemetry.E001", "telemetry.E001"]


def test_check_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "30")
    assert [message.id for message in check_configuration(app_configs=None)] == ["telemetry.W001"]
