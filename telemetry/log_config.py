"""A logging configuration for projects that have none: `LOGGING = logging_config()`."""

from typing import Any


def logging_config(*, readable: bool = False, level: str = "INFO") -> dict[str, Any]:
    """Return a value for Django's LOGGING: every record to standard output and, in its trace, to OpenTelemetry.

    JSON lines, or with `readable` lines for human eyes. Django's own records name the route where they named the path.
    """
    formatter = "telemetry.logs.ReadableFormatter" if readable else "telemetry.logs.JsonFormatter"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"console": {"()": formatter}},
        "filters": {"route": {"()": "telemetry.routes.RouteInsteadOfPath"}},
        "handlers": {
            "console": {"class": "telemetry.logs.ConsoleHandler", "formatter": "console", "stream": "ext://sys.stdout"},
            "otlp": {"class": "telemetry.logs.OTLPHandler"},
        },
        "root": {"handlers": ["console", "otlp"], "level": level},
        "loggers": {
            "django": {"handlers": [], "level": level, "propagate": True},
            # Their messages end with the path, which may hold anything, an email address too.
            "django.request": {"filters": ["route"]},
            "django.security.csrf": {"filters": ["route"]},
            # runserver's line for a request shows the query string, and the access record says the same without it.
            "django.server": {"handlers": [], "level": "CRITICAL", "propagate": True},
        },
    }
