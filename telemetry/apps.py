from contextlib import suppress

from django.apps import AppConfig


class TelemetryAppConfig(AppConfig):
    name = "telemetry"

    def ready(self) -> None:
        from telemetry import (
            checks,  # noqa: F401  (importing registers them)
            privacy,
        )
        from telemetry.config import ConfigError, TelemetryConfig
        from telemetry.logs import guard_failures

        guard_failures()

        # For commands, which log without ever starting telemetry. A bad value is the check's and the start's business.
        with suppress(ConfigError):
            config = TelemetryConfig.from_env()
            privacy.configure(config.redact, strict=config.privacy == "strict")
