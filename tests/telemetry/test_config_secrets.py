"""No secret ever shows: not in the configuration's text, not in errors, warnings or tracebacks, not in the report."""

import json
import traceback
from collections.abc import Mapping
from urllib.parse import quote

import pytest
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telemetry.checks import check_configuration
from telemetry.config import ConfigError, TelemetryConfig
from telemetry.config.report import as_data, as_text

# What a test looks for; what surrounds it in a secret may break the value's grammar at will.
MARK = "Hunter2Hunter2"
NOISE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
SECRETS = st.builds("{}{}{}".format, NOISE, st.just(MARK), NOISE)
QUIET = settings(
    max_examples=50,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def everything_shown(environ: Mapping[str, str]) -> str:
    """Return all that the configuration of `environ` ever shows."""
    shown = [f"{error} {error!r} {vars(error)}" for error in TelemetryConfig.errors(environ)]
    try:
        config = TelemetryConfig.from_env(environ)
    except ConfigError as error:
        shown += traceback.format_exception(error)
        shown += [repr(error.__context__), repr(error.__cause__)]
    else:
        shown += [repr(config), str(config), as_text(config), json.dumps(as_data(config)), *config.warnings]
    return "\n".join(shown)


def assert_hidden(environ: Mapping[str, str]) -> None:
    assert MARK.lower() not in everything_shown(environ).lower(), environ


@QUIET
@given(SECRETS, st.sampled_from(["", "METRICS_", "TRACES_"]), st.sampled_from(["authorization=", "", "a=b,", "a b="]))
def test_secret_in_headers(secret: str, signal: str, before: str) -> None:
    for value in (secret, quote(secret)):
        assert_hidden({f"OTEL_EXPORTER_OTLP_{signal}HEADERS": before + value, "OTEL_EXPORTER_OTLP_ENDPOINT": "h"})


@QUIET
@given(SECRETS)
def test_secret_in_metrics_token(secret: str) -> None:
    assert_hidden({"METRICS_TOKEN": secret, "TELEMETRY_MODE": "direct"})


@QUIET
@given(SECRETS, st.sampled_from(["", "http://", "https://", "ftp://", "HTTP:/"]), st.sampled_from(["", "me:"]))
def test_secret_in_userinfo(secret: str, scheme: str, user: str) -> None:
    for value in (secret, quote(secret, safe="")):
        assert_hidden({"OTEL_EXPORTER_OTLP_ENDPOINT": f"{scheme}{user}{value}@alloy:4317"})


@QUIET
@given(SECRETS, st.sampled_from("?#"))
def test_secret_in_query(secret: str, separator: str) -> None:
    assert_hidden({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"https://h/v1/logs{separator}key={secret}"})


@pytest.mark.parametrize(
    "variable", ["TELEMETRY_MODE", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_CERTIFICATE"]
)
def test_secret_in_url_of_another_variable(variable: str) -> None:
    """An address in the wrong variable is the likeliest mix-up."""
    assert_hidden({variable: f"https://me:{MARK}@h"})


def test_header_names_shown() -> None:
    """They are no secrets, and show whether the right headers are set."""
    shown = repr(TelemetryConfig.from_env({"OTEL_EXPORTER_OTLP_HEADERS": f"authorization={MARK}"}))
    assert "'authorization', '***'" in shown


@settings(QUIET, max_examples=15)
@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=8))
def test_secret_in_command_and_check(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], noise: str
) -> None:
    secrets = {
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Basic {noise}{MARK}",
        "METRICS_TOKEN": noise + MARK,
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://alloy:4317",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    call_command("telemetry")
    call_command("telemetry", "--json")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://me:{noise}{MARK}@alloy:4317")
    with pytest.raises(CommandError) as refused:
        call_command("telemetry")
    messages = check_configuration(app_configs=None)
    assert MARK not in "".join([*capfd.readouterr(), str(refused.value), *map(str, messages)])
