"""A logging configuration for projects without their own: `LOGGING = logging_config()`."""

from typing import Any


def logging_config(*, readable: bool = False, level: str = "INFO") -> dict[str, Any]:
    """Return a value for Django's LOGGING: all records go to standard output and, with their trace, to OpenTelemetry.

    Standard output gets JSON lines, or with `readable` human-readable ones. Django's own records contain the route
    instead of the path.
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
            # Their messages end with the path, which may contain anything, even an email address.
            "django.request": {"filters": ["route"]},
            "django.security.csrf": {"filters": ["route"]},
            # runserver's line for a request contains the query string; the access record replaces it without that.
            "django.server": {"handlers": [], "level": "CRITICAL", "propagate": True},
        },
    }
