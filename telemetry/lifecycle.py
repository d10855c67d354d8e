"""From start to stop of the telemetry in one process: patch once, start after the fork, flush within a budget."""

import atexit
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from time import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from telemetry import privacy
from telemetry.config import ConfigError, SignalConfig, TelemetryConfig
from telemetry.logs import OTLPHandler, RedactingFormatter, guard_failures
from telemetry.status import StatusServer
from telemetry.worker import Worker

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

    from telemetry.metric_views import Attributes
    from telemetry.providers import Pipeline

    Builder = Callable[[TelemetryConfig, Resource, Worker, Attributes], Pipeline]

logger = logging.getLogger(__name__)
# The service's start is told whatever OTEL_LOG_LEVEL says.
_announcer = logging.getLogger("telemetry.server")

_ITEMS = {"traces": "spans", "metrics": "data points", "logs": "log records"}
# What upstream says of each batch that fails. `telemetry.outage` says it once.
_UPSTREAM = ("opentelemetry.exporter", "opentelemetry.sdk._shared_internal", "urllib3.connection")


class _Process:
    """What this process has done so far: module state, kept in one visible place."""

    config: TelemetryConfig | None = None
    patched = False
    server_starts_workers = False
    service = "service", "unknown"
    metric_attributes: "Attributes" = MappingProxyType({})
    pipeline: "Pipeline | None" = None
    status: StatusServer | None = None
    pid: int | None = None


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


def _builder(mode: str) -> "Builder | None":
    """Return what builds the providers of `mode`, None for `off`: the one place that branches on the mode.

    What a mode needs is imported with it, so that `off` costs neither time nor memory.
    """
    if mode == "collector":
        from telemetry import collector

        return collector.build
    if mode == "direct":
        from telemetry import direct

        return direct.build
    return None


def instrument() -> None:
    """Patch the libraries, unless telemetry is off. Safe before a fork, and to call twice."""
    config = load_config()
    if _builder(config.mode) and not _Process.patched:
        from telemetry.instrumentation import patch

        patch(config.incoming_context)
        _Process.patched = True


def leave_start_to_server() -> None:
    """Make `serve` do nothing: the server's hooks call `start` in each worker, after the fork."""
    _Process.server_starts_workers = True


def serve(name: str, version: str, metric_attributes: Mapping[str, Collection[str]]) -> None:
    """Tell about the service, and start the pipeline of a process that serves alone (`runserver`).

    `metric_attributes` names, for each metric of the service's own, the attributes that it may carry; a metric that is
    not listed has none. Called last in `wsgi.py`. Under gunicorn with our hooks the workers start after the fork.
    """
    _Process.service = name, version
    _Process.metric_attributes = metric_attributes
    if _Process.server_starts_workers:
        return
    if "gunicorn" in sys.modules:
        logger.warning("gunicorn runs without -c deploy/gunicorn.conf.py: /metrics will tell of one worker only")
    start(Worker(address=f"pid/{os.getpid()}"))
    atexit.register(shutdown)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # `runserver --noreload` would end without `atexit`


def start(worker: Worker) -> None:
    """Make the providers of this process, once, and announce it. Never waits for a backend."""
    if _Process.pid == os.getpid():
        return
    _Process.pid = os.getpid()
    config = load_config()
    service, version = _Process.service
    _tell_own_messages(config.log_level)
    builder = _builder(config.mode)
    if builder:
        try:
            _Process.pipeline = _start_pipeline(builder, config, worker, version)
            _Process.status = _start_status(_Process.pipeline, config, worker)
        except Exception:
            # gunicorn would take an error of one worker for one of all and halt.
            logger.exception("telemetry did not start; the worker serves without it")
    ways = {"traces": config.traces, "metrics": config.metrics, "logs": config.logs}
    _announcer.info(
        "Starting %s server",
        service,
        extra={"telemetry.mode": config.mode, "service.version": version, "worker.slot": worker.slot}
        | {f"telemetry.{name}": _destination(way) for name, way in ways.items()},
    )


def _start_pipeline(builder: "Builder", config: TelemetryConfig, worker: Worker, version: str) -> "Pipeline":
    from opentelemetry import metrics, trace

    from telemetry.instrumentation import observe_process, set_propagators
    from telemetry.log_records import LogSource
    from telemetry.privacy.exporters import redacted_resource
    from telemetry.resource import build_resource

    # Switches on `otel.sdk.*`, for which there is no argument.
    os.environ["OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED"] = "true"
    resource = redacted_resource(build_resource(config, worker, version))
    pipeline = builder(config, resource, worker, _Process.metric_attributes)
    metrics.set_meter_provider(pipeline.meter_provider)
    trace.set_tracer_provider(pipeline.tracer_provider)
    OTLPHandler.connect(LogSource(pipeline.logger_provider) if pipeline.logger_provider else None)
    set_propagators(config.propagators)
    observe_process()
    return pipeline


def _start_status(pipeline: "Pipeline", config: TelemetryConfig, worker: Worker) -> StatusServer | None:
    """Answer `manage.py telemetry --status`, where a socket can be made; nothing else depends on it."""
    signals = {"traces": config.traces, "metrics": config.metrics, "logs": config.logs}
    told = {"pid": os.getpid(), "started": time(), "mode": config.mode, "service": config.service_name}
    told |= {"version": _Process.service[1], "address": worker.address}

    def describe() -> dict[str, Any]:
        deliveries = {delivery.signal: delivery.status() for delivery in pipeline.deliveries}
        return told | {
            "signals": {
                signal: {"exporter": signals[signal].exporter, **deliveries.get(signal, {})} for signal in signals
            }
        }

    try:
        return StatusServer(os.getppid() if _Process.server_starts_workers else os.getpid(), worker.slot, describe)
    except OSError as error:
        logger.info("manage.py telemetry --status will get no answer: %s", error)
        return None


def current() -> "Pipeline | None":
    """Return the pipeline of this process: None before `start`, after a fork, and where telemetry is off."""
    return _Process.pipeline if _Process.pid == os.getpid() else None


def flush(budget: float) -> None:
    """Send what has ended so far and go on; return after `budget` seconds at the latest."""
    pipeline = current()
    if pipeline:
        pipeline.flush(budget)


def shutdown(budget: float | None = None) -> None:
    """Send what is left and stop within `budget` seconds; say in one line what was dropped.

    `budget` is TELEMETRY_FLUSH_TIMEOUT unless given.
    """
    pipeline = current()
    if pipeline is None:
        return
    budget = load_config().flush_timeout if budget is None else budget
    try:
        pipeline.shutdown(budget)
    finally:  # the server may abort this worker meanwhile
        OTLPHandler.connect(None)
        if _Process.status:
            _Process.status.close()
        dropped = pipeline.dropped()
        if dropped:
            logger.warning(
                "telemetry dropped at stop: %s; not delivered, or not confirmed, within %.1f s",
                ", ".join(f"{count} {_ITEMS[name]}" for name, count in dropped.items()),
                budget,
            )


def _destination(config: SignalConfig) -> str:
    return f"{config.protocol} {config.endpoint}" if config.exporter == "otlp" else config.exporter


def _tell_own_messages(level: str) -> None:
    """Apply OTEL_LOG_LEVEL to the telemetry's own messages; on `debug`, tell every export on standard error."""
    for name in ("opentelemetry", "telemetry"):
        logging.getLogger(name).setLevel(level.upper())
    _announcer.setLevel(logging.INFO)
    if level != "debug":
        for name in _UPSTREAM:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        return
    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter(logging.Formatter("telemetry: %(message)s")))
    for name in ("telemetry.delivery", *_UPSTREAM):
        own = logging.getLogger(name)
        own.addHandler(handler)
        own.setLevel(logging.DEBUG)
        own.propagate = False
