"""Django system checks of the telemetry's configuration: values that a start would refuse, and production settings."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004  (Django's own name)

from telemetry.config import TelemetryConfig
from telemetry.config.reader import DEFAULT


@register("telemetry")
def check_configuration(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Return E001 for each invalid value; without any, W001 for each warning."""
    errors = TelemetryConfig.errors()
    if errors:
        return [Error(str(error), id="telemetry.E001") for error in errors]
    return [Warning(warning, id="telemetry.W001") for warning in TelemetryConfig.from_env().warnings]


@register("telemetry", deploy=True)
def check_exposure(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Return W002 if `/metrics` needs no token, W003 if the trust in clients' trace context is not configured."""
    if TelemetryConfig.errors():
        return []
    config = TelemetryConfig.from_env()
    found: list[CheckMessage] = []
    if config.metrics.exporter == "prometheus" and not config.metrics_token:
        found.append(
            Warning(
                "METRICS_TOKEN is not set: whoever reaches the service can read /metrics.",
                hint="Set it to a random text, and give it to Prometheus as a bearer token.",
                id="telemetry.W002",
            )
        )
    if config.mode != "off" and config.sources["incoming_context"] == DEFAULT:
        found.append(
            Warning(
                "TELEMETRY_INCOMING_CONTEXT is not set: any client can choose trace ids and what is sampled.",
                hint="Set it to link (or ignore) at a public edge, or to trust if every client is a service of yours.",
                id="telemetry.W003",
            )
        )
    return found
