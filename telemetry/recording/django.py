"""Installs recording in Django: its middleware, a wrapper of its cursors, and a signal handler."""

import os

from django.core.signals import request_finished

from telemetry.config import TelemetryConfig
from telemetry.config.variables import FIXED_CONVENTIONS
from telemetry.project import Project
from telemetry.recording.incoming import IncomingContextReader
from telemetry.recording.instrumentations import instrument
from telemetry.recording.middleware import RequestMiddleware
from telemetry.recording.process import Recording
from telemetry.recording.queries import QueryRecorders
from telemetry.recording.sampling import request_sampler


def install(config: TelemetryConfig, project: Project, recording: Recording) -> None:
    """Install the recorders; call this once, before the application is built."""
    name, value = FIXED_CONVENTIONS
    os.environ[name] = value
    if config.instrumentation == "contrib":
        from telemetry.recording import contrib

        contrib.install(config, recording, project.untraced)
    else:
        RequestMiddleware.incoming = IncomingContextReader(config.incoming_context)
        RequestMiddleware.sampler = request_sampler(config)
        RequestMiddleware.process = recording
        RequestMiddleware.untraced = project.untraced
        QueryRecorders().install()
    instrument(config.instrument)
    request_finished.connect(recording.after_answer, weak=False, dispatch_uid=__name__)
