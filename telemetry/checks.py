"""Django's system check of the telemetry's configuration: `manage.py check` tells what a start would refuse."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004  (Django's own name)

from telemetry.config import TelemetryConfig


@register("telemetry")
def check_configuration(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Return E001 for each value that is not accepted; where there is none, W001 for each warning."""
    errors = TelemetryConfig.errors()
    if errors:
        return [Error(str(error), id="telemetry.E001") for error in errors]
    return [Warning(warning, id="telemetry.W001") for warning in TelemetryConfig.from_env().warnings]
