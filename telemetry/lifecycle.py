"""The telemetry of one process: its configuration, and the start of recording.

A serving process records from its first request on, or from its server's hook. It need not flush anything: its records
are in the journal, and the exporter delivers them however this process ends.
"""

import sys
from inspect import currentframe
from typing import TYPE_CHECKING, NoReturn

from telemetry import privacy
from telemetry.config import ConfigError, TelemetryConfig
from telemetry.logs import guard_failures

if TYPE_CHECKING:
    from telemetry.project import Project
    from telemetry.recording.process import Recording


class _Process:
    """The state of this process: module state, kept in one visible place."""

    config: TelemetryConfig | None = None
    recording: "Recording | None" = None
    project: "Project | None" = None


def load_config() -> TelemetryConfig:
    """Return the configuration of this process, read from the environment once.

    Raises SystemExit (or gunicorn's equivalent) with a one-line message if a variable is invalid: a service must not
    start with telemetry other than configured.
    """
    if _Process.config is None:
        try:
            _Process.config = TelemetryConfig.from_env()
        except ConfigError as error:
            refuse(str(error))
        privacy.configure(_Process.config.redact, strict=_Process.config.privacy == "strict")
        guard_failures()
        for warning in _Process.config.warnings:
            print(f"telemetry: {warning}", file=sys.stderr)  # noqa: T201  (logging is not configured yet)
    return _Process.config


def refuse(reason: str) -> NoReturn:
    """End this process, or the whole server if gunicorn is loading its application, with a one-line message."""
    line = f"telemetry: {reason}"
    frame = currentframe()
    while frame is not None and frame.f_globals.get("__name__") != "gunicorn.workers.base":
        frame = frame.f_back
    if frame is not None:  # a worker: its master would restart it again and again
        from gunicorn.errors import AppImportError

        raise AppImportError(line) from None
    sys.exit(line)


def project() -> "Project":
    """Return telemetry's part of the project's settings, which must be configured."""
    if _Process.project is None:
        from telemetry.project import read_project

        _Process.project = read_project()
    return _Process.project


def config_of_project(config: TelemetryConfig | None = None) -> TelemetryConfig:
    """Return `config`, or this process's configuration, with the service name in effect for this project."""
    name, given = project().service_name, "service_name" in project().given
    return (config or load_config()).of_project(name, given=given)


def recording() -> "Recording | None":
    """Return the recording of this process, imported on demand; None if telemetry is off."""
    if _Process.recording is None and load_config().records:
        from telemetry.recording.process import Recording

        _Process.recording = Recording(config_of_project(), project())
    return _Process.recording


def start(place: str = "", address: str = "") -> None:
    """Join the service's run and announce this process, once. Never waits, never raises.

    Called by a server's hooks once the application is loaded, else at the first request. A process that serves no
    requests, such as a worker of a task queue, calls it after `django.setup()`. `place` is the server's configured
    address; without it, the command line distinguishes services. `address` is where it actually listens.
    """
    from telemetry.recording.announcement import announce

    if found := recording():
        found.patch()
        found.start(place, address)
    else:
        announce(config_of_project(), project(), 0)
