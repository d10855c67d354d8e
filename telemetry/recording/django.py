"""Where recording is put into Django: a middleware, a wrapper of its cursors, and a signal."""

import os

from django.conf import settings
from django.core.signals import request_finished

from telemetry.config import TelemetryConfig
from telemetry.config.variables import FIXED_CONVENTIONS
from telemetry.recording.incoming import IncomingContextReader
from telemetry.recording.instrumentations import instrument
from telemetry.recording.middleware import RequestMiddleware
from telemetry.recording.options import options_of
from telemetry.recording.process import Recording
from telemetry.recording.queries import QueryRecorders
from telemetry.recording.sampling import request_sampler


def install(config: TelemetryConfig, recording: Recording) -> None:
    """Put the recorders in. Call it once, before the application is built.

    Raises RuntimeError without DJANGO_SETTINGS_MODULE.
    """
    if not settings.configured and "DJANGO_SETTINGS_MODULE" not in os.environ:
        raise RuntimeError("DJANGO_SETTINGS_MODULE is not set: set it before telemetry is instrumented")
    name, value = FIXED_CONVENTIONS
    os.environ[name] = value
    RequestMiddleware.incoming = IncomingContextReader(config.incoming_context)
    RequestMiddleware.sampler = request_sampler(config)
    RequestMiddleware.process = recording
    # A service may answer probes before anything else looks at the request.
    position = getattr(settings, "TELEMETRY_MIDDLEWARE_POSITION", 0)
    middleware = list(settings.MIDDLEWARE)
    chosen = options_of(config)
    middleware.insert(position, f"{chosen.__module__}.{chosen.__qualname__}")
    settings.MIDDLEWARE = middleware
    QueryRecorders().install()
    instrument(config.instrument)
    request_finished.connect(lambda **_: recording.after_answer(), weak=False, dispatch_uid=__name__)
