"""`manage.py telemetry` shows the effective configuration, and `manage.py check` what is wrong with it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from telemetry.checks import check_configuration

ROOT = Path(__file__).resolve().parents[2]


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
    assert line(output(capsys), "traces.timeout") == ["traces.timeout", "3", "s", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"]


def test_command_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert line(output(capsys), "service_name") == ["service_name", "user-api", "default"]


def test_command_header_masked(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret")
    assert line(output(capsys), "logs.headers")[1] == "authorization=***"


def test_command_idle_otlp_values_left_out(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEMETRY_MODE", "direct")
    assert "metrics.endpoint" not in output(capsys)


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
    with pytest.raises(CommandError, match=r"^TELEMETRY_MODE: 'colector' is not accepted; accepted: "):
        call_command("telemetry")


def test_command_without_database() -> None:
    assert run("telemetry").returncode == 0


@pytest.mark.parametrize(
    ("variable", "value"), [("TELEMETRY_MODE", "colector"), ("OTEL_PROPAGATORS", "b3"), ("OTEL_LOG_LEVEL", "loud")]
)
def test_command_broken_process(variable: str, value: str) -> None:
    """One line on standard error, nothing on standard output, and 1."""
    ended = run("telemetry", **{variable: value})
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (1, "", 1), ended.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [("TELEMETRY_MODE", "colector"), ("OTEL_BSP_SCHEDULE_DELAY", "x"), ("OTEL_PROPAGATORS", "b3")],
)
def test_check_process(variable: str, value: str) -> None:
    ended = run("check", **{variable: value})
    assert (ended.returncode, f"(telemetry.E001) {variable}: '{value}'" in ended.stderr) == (1, True), ended.stderr


def test_check_good() -> None:
    assert check_configuration(app_configs=None) == []


def test_check_every_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEMETRY_MODE", "colector")
    monkeypatch.setenv("OTEL_LOG_LEVEL", "loud")
    assert [message.id for message in check_configuration(app_configs=None)] == ["telemetry.E001", "telemetry.E001"]


def test_check_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "30")
    assert [message.id for message in check_configuration(app_configs=None)] == ["telemetry.W001"]
