"""The telemetry of one process: what is configured, and from when on it records.

A process that serves records from its first request on, or from the moment that its server's hooks say. There is
nothing to flush: what is recorded is in the journal, and the exporter delivers it whatever ends this process.
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
    """What this process has done so far: module state, kept in one visible place."""

    config: TelemetryConfig | None = None
    recording: "Recording | None" = None
    project: "Project | None" = None


def load_config() -> TelemetryConfig:
    """Return the configuration of this process, read from the environment once.

    Raises SystemExit (or gunicorn's own word for it) with one line where a variable is wrong: a service must not start
    with telemetry that was not asked for.
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
    """End this process, or the whole server where gunicorn is building its application, with one line."""
    line = f"telemetry: {reason}"
    frame = currentframe()
    while frame is not None and frame.f_globals.get("__name__") != "gunicorn.workers.base":
        frame = frame.f_back
    if frame is not None:  # a worker: its master would start another one, again and again
        from gunicorn.errors import AppImportError

        raise AppImportError(line) from None
    sys.exit(line)


def project() -> "Project":
    """Return what the project's settings say of telemetry; they must be configured."""
    if _Process.project is None:
        from telemetry.project import read_project

        _Process.project = read_project()
    return _Process.project


def config_of_project(config: TelemetryConfig | None = None) -> TelemetryConfig:
    """Return that configuration, or this process's own, with the name that is in force for this project."""
    name, given = project().service_name, "service_name" in project().given
    return (config or load_config()).of_project(name, given=given)


def recording() -> "Recording | None":
    """Return what records in this process: None where telemetry is off. What it needs is imported with it."""
    if _Process.recording is None and load_config().records:
        from telemetry.recording.process import Recording

        _Process.recording = Recording(config_of_project(), project())
    return _Process.recording


def start(place: str = "", address: str = "") -> None:
    """Join the service's run and announce this process, once. Never waits, never raises.

    Called by a server's hooks, with the application loaded; without them the first request does it. A process that
    serves no request, such as a worker of a queue, calls it after `django.setup()`. `place` is where
    the server is configured to listen; without it, the command line distinguishes services. `address` is where it does.
    """
    from telemetry.recording.announcement import announce

    if found := recording():
        found.patch()
        found.start(place, address)
    else:
        announce(config_of_project(), project(), 0)
