import sys
from contextlib import suppress

from django.apps import AppConfig


class TelemetryAppConfig(AppConfig):
    name = "telemetry"

    def ready(self) -> None:
        from telemetry import (
            checks,  # noqa: F401  (importing registers them)
            lifecycle,
            privacy,
        )
        from telemetry.config import ConfigError, TelemetryConfig
        from telemetry.logs import guard_failures
        from telemetry.servers.refused import refuse_unsupported

        guard_failures()
        lifecycle.project()

        if sys.argv[1:2] == ["runserver"]:
            lifecycle.load_config()  # its reloader would wait forever for a valid value

        # For commands, which log without starting telemetry. The system check and the start report an invalid value.
        instrumentation = ""
        with suppress(ConfigError):
            config = TelemetryConfig.from_env()
            privacy.configure(config.redact, strict=config.privacy == "strict")
            if not config.records:
                return
            instrumentation = config.instrumentation
            refuse_unsupported()
        add_middleware()
        if instrumentation == "contrib" and (found := lifecycle.recording()):
            found.patch()  # its middleware must be listed before the application is built


def add_middleware() -> None:
    """Insert the middleware at the start of MIDDLEWARE, except for what the project lists itself.

    Patching and starting happen later, when a process builds an application from MIDDLEWARE and so serves requests.
    """
    from django.conf import settings

    middleware = list(settings.MIDDLEWARE)
    if (requests := "telemetry.middleware.requests") not in middleware:
        middleware.insert(0, requests)
    if (access := "telemetry.middleware.access_log") not in middleware:
        middleware.insert(middleware.index(requests) + 1, access)
    settings.MIDDLEWARE = tuple(middleware) if isinstance(settings.MIDDLEWARE, tuple) else middleware
