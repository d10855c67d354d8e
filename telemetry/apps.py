from django.apps import AppConfig


class TelemetryAppConfig(AppConfig):
    name = "telemetry"

    def ready(self) -> None:
        from telemetry import checks  # noqa: F401  (importing registers them)
