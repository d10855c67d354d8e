"""From start to end of the telemetry in one process that serves: patch once, join once the fork is over, and record.

There is nothing to flush: what is recorded is in the journal, and the exporter delivers it whatever ends this process.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from telemetry import privacy
from telemetry.config import ConfigError, SignalConfig, TelemetryConfig
from telemetry.logs import guard_failures

if TYPE_CHECKING:
    from telemetry.recording.process import Recording

logger = logging.getLogger(__name__)
# The service's start is logged whatever OTEL_LOG_LEVEL says.
_announcer = logging.getLogger("telemetry.server")


class _Process:
    """What this process has done so far: module state, kept in one visible place."""

    config: TelemetryConfig | None = None
    recording: "Recording | None" = None
    server_starts_workers = False
    service = "service", "unknown"
    metric_attributes: Mapping[str, Collection[str]] = MappingProxyType({})
    started = 0
    """The process that was started last: a forked child has not been."""


def load_config() -> TelemetryConfig:
    """Return the configuration of this process, read from the environment once.

    Raises SystemExit with one line where a variable is wrong: a service must not start with telemetry that nobody
    asked for.
    """
    if _Process.config is None:
        try:
            _Process.config = TelemetryConfig.from_env()
        except ConfigError as error:
            sys.exit(f"telemetry: {error}")
        privacy.configure(_Process.config.redact, strict=_Process.config.privacy == "strict")
        guard_failures()
        for warning in _Process.config.warnings:
            print(f"telemetry: {warning}", file=sys.stderr)  # noqa: T201  (logging is not configured yet)
    return _Process.config


def recording() -> "Recording | None":
    """Return what records in this process: None where telemetry is off. What it needs is imported with it."""
    if _Process.recording is None and load_config().records:
        from telemetry.recording.process import Recording

        _Process.recording = Recording(load_config())
    return _Process.recording


def instrument() -> None:
    """Patch Django, unless telemetry is off. Safe before a fork, and to call twice."""
    if found := recording():
        found.patch()


def leave_start_to_server() -> None:
    """Make `serve` do nothing: the server's hooks call `start` in each worker, after the fork."""
    _Process.server_starts_workers = True


def serve(name: str, version: str, metric_attributes: Mapping[str, Collection[str]]) -> None:
    """Name the service, and start in a process that serves alone (`runserver`, uvicorn, waitress).

    `metric_attributes` names, for each metric of the service's own, the attributes that it may carry; a metric that is
    not listed has none. Called last in `wsgi.py`. Under gunicorn with our hooks the workers start after the fork.
    """
    _Process.service = name, version
    _Process.metric_attributes = metric_attributes
    if _Process.server_starts_workers:
        return
    start()
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # `runserver --noreload` would end in the middle


def start(place: str = "", address: str = "") -> None:
    """Join the service's run and announce this process, once. Never waits, never raises.

    `place` is where the server was told to listen; without it, the command line tells services apart. `address` is
    where it does, for the status.
    """
    if _Process.started == os.getpid():
        return
    _Process.started = os.getpid()
    config = load_config()
    service, version = _Process.service
    _set_levels(config.log_level)
    if found := recording():
        found.start(place, address, version, _Process.metric_attributes)
    ways = {"traces": config.traces, "metrics": config.metrics, "logs": config.logs}
    _announcer.info(
        "Starting %s server",
        service,
        extra={"telemetry.mode": config.mode, "service.version": version, "worker.slot": found.slot if found else 0}
        | {f"telemetry.{name}": _destination(way) for name, way in ways.items()},
    )


def _destination(config: SignalConfig) -> str:
    return f"{config.protocol} {config.endpoint}" if config.exporter == "otlp" else config.exporter


def _set_levels(level: str) -> None:
    """Apply OTEL_LOG_LEVEL to the telemetry's own messages."""
    for name in ("opentelemetry", "telemetry"):
        logging.getLogger(name).setLevel(level.upper())
    _announcer.setLevel(logging.INFO)
